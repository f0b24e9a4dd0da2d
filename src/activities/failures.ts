/**
 * Turns errors into Temporal failures. Errors that no retry cures are not retried. Outages, such as a full disk, are retried
 * while they last. Any other error may be a bug: after some minutes of retries the activity fails, and the study pauses with
 * the reason until a person resumes it.
 */
import { Context } from '@temporalio/activity';
import { ApplicationFailure, TemporalFailure } from '@temporalio/common';

/** Names of errors whose cause stays until a person acts. */
const LASTING = new Set([
  'LabError',
  'LabConfigError',
  'LedgerError',
  'StudyMismatch',
  'DataError',
  'DataGone',
  'AgentSettingsError',
  'EnvironmentChanged',
]);

/** Failure types that end by themselves, or when a person does what their message says. */
const OUTAGES = new Set([
  'ModelBusy',
  'ModelUnreachable',
  'ModelUnanswered',
  'ResearcherAway',
  'NoRoom',
  'HeldElsewhere',
  'BranchCheckedOut',
  'BranchMoved',
]);
/** Outages by error code of the system. */
const OUTAGE_CODES = new Set([
  'ENOSPC',
  'EDQUOT',
  'EROFS',
  'ESTALE',
  'EMFILE',
  'ENFILE',
  'ENOMEM',
  'EAGAIN',
  'ENETUNREACH',
  'EHOSTUNREACH',
  'ECONNREFUSED',
  'ECONNRESET',
  'ETIMEDOUT',
  'EPIPE',
  'ENOTFOUND',
  'EAI_AGAIN',
]);
/** Outages by the messages of git and other programs. */
const OUTAGE_WORDS =
  /no space left on device|disk quota exceeded|read-only file system|cannot allocate memory|could not resolve host|temporary failure in name resolution|connection (?:refused|reset|timed out)|network is unreachable|\.lock': File exists/iu;

/** Unknown errors in a row after which an activity fails: about 8 minutes, with the waits of src/workflows/activities.ts. */
const MAX_UNKNOWN = 14;

/** The study, or its worker, does not match the ledger of its tag. */
export class StudyMismatch extends Error {
  override name = 'StudyMismatch';
}

/** True for errors that no retry cures. */
export const isLasting = (error: Error): boolean => LASTING.has(error.name);

/** Unknown errors in a row, by activity. A new worker starts at zero, since it may not have the bug. */
const unknownErrors = new Map<string, number>();

/** Runs an activity's work; errors keep their name as the failure's type. */
export async function withFailures<T>(work: () => Promise<T>): Promise<T> {
  try {
    const done = await work();
    if (unknownErrors.size > 0) unknownErrors.delete(activityKey());
    return done;
  } catch (error) {
    const failure = asFailure(error);
    if (isKnown(failure)) {
      if (unknownErrors.size > 0) unknownErrors.delete(activityKey());
      throw failure;
    }
    const key = activityKey();
    const count = (unknownErrors.get(key) ?? 0) + 1;
    unknownErrors.set(key, count);
    if (count < MAX_UNKNOWN) throw failure;
    unknownErrors.delete(key);
    throw ApplicationFailure.create({
      message: `${failure instanceof Error ? failure.message : String(failure)} (${count} times in a row)`,
      type: 'UnknownError',
      nonRetryable: true,
      ...(failure instanceof Error && { cause: failure }),
    });
  }
}

function activityKey(): string {
  const { workflowExecution, activityId } = Context.current().info;
  return `${workflowExecution?.runId ?? ''} ${activityId}`;
}

/** True for failures that end the retries or may last, and for cancellations. */
function isKnown(failure: unknown): boolean {
  if (failure instanceof ApplicationFailure)
    return failure.nonRetryable === true || OUTAGES.has(failure.type ?? '');
  return failure instanceof TemporalFailure || (failure instanceof Error && isOutage(failure));
}

function asFailure(error: unknown): unknown {
  if (!(error instanceof Error) || !isLasting(error)) return error;
  return ApplicationFailure.create({
    message: error.message,
    type: error.name,
    nonRetryable: true,
    cause: error,
  });
}

function isOutage(error: Error): boolean {
  const { code } = error as NodeJS.ErrnoException;
  if (OUTAGES.has(error.name) || OUTAGE_CODES.has(code ?? '') || OUTAGE_WORDS.test(error.message))
    return true;
  return error.cause instanceof Error && isOutage(error.cause);
}
