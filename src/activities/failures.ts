/**
 * How our own errors reach Temporal. What no retry cures is not retried. What ends without us, such as a full disk, is
 * retried for as long as it lasts. Anything else may be a bug, which would be retried for ever: after some minutes it fails,
 * and the study pauses with the reason until a person resumes it.
 */
import { Context } from '@temporalio/activity';
import { ApplicationFailure, TemporalFailure } from '@temporalio/common';

/** Errors whose cause is in the lab or in git itself and stays until a person acts. */
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

/** Failures, by type, that end by themselves, or when a person acts on what their message says. */
const OUTAGES = new Set([
  'ModelBusy',
  'ModelUnreachable',
  'ResearcherAway',
  'NoRoom',
  'HeldElsewhere',
  'BranchCheckedOut',
  'BranchMoved',
]);
/** The same, as the system says it. */
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
/** The same, as git and other programs say it. */
const OUTAGE_WORDS =
  /no space left on device|disk quota exceeded|read-only file system|cannot allocate memory|could not resolve host|temporary failure in name resolution|connection (?:refused|reset|timed out)|network is unreachable|\.lock': File exists/iu;

/** So many unknown errors in a row fail an activity: about 8 minutes, with the waits of src/workflows/activities.ts. */
const MAX_UNKNOWN = 14;

/** The study is not what the ledger of its tag says. */
export class StudyMismatch extends Error {
  override name = 'StudyMismatch';
}

/** No retry cures it. */
export const isLasting = (error: Error): boolean => LASTING.has(error.name);

/** Unknown errors in a row, of each activity that this worker retries. A new worker may cure them, and counts anew. */
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

/** What ends the retries, or may go on for as long as it lasts; a cancellation is no error. */
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
