/** Talks to a study's workflow through Temporal: describe, query, update. */
import {
  isGrpcServiceError,
  ServiceError,
  WorkflowNotFoundError,
  WorkflowUpdateFailedError,
  WorkflowUpdateRPCTimeoutOrCancelledError,
  type Client,
  type WorkflowExecutionDescription,
} from '@temporalio/client';
import type { Payload } from '@temporalio/common';
import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { Progress } from '../domain/run';
import { experimentName } from '../domain/experiment';
import type { StudyStatus } from '../domain/status';
import type { StudyConfig } from '../domain/study';
import type { Connected } from '../temporal/connection';
import { decodeValues, failureMessage } from '../temporal/decode';
import { failingTask, type FailingTask } from '../temporal/failing-task';
import { CliError } from './errors';
import type { CurrentExperiment, PendingActivity } from './snapshot';

/** A study as one names it: where its git and its workflow are. */
export type StudyPlace = Pick<StudyConfig, 'tag' | 'workflowId'>;

/** gRPC's NOT_FOUND. */
const NOT_FOUND = new Set<number>([5]);
/** gRPC's CANCELLED, DEADLINE_EXCEEDED and FAILED_PRECONDITION ("no poller seen"). */
const NO_ANSWER = new Set<number>([1, 4, 9]);
/** DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, ABORTED, UNAVAILABLE. */
const SERVER_AWAY = new Set<number>([4, 8, 10, 14]);
/** PENDING_ACTIVITY_STATE_SCHEDULED. */
const SCHEDULED = 1;
/** TASK_QUEUE_TYPE_WORKFLOW. */
const WORKFLOW_TASKS = 1;
/** With a worker a query takes milliseconds. Without one it would wait for ever. */
const ANSWER_MS = 4_000;
/** The server waits some 10 s for a worker that has just died before it gives a message to the next one. */
const REQUEST_MS = 15_000;

const progressSchema = z.object({
  phase: z.string(),
  step: z.number(),
  loss: z.number().nullable(),
  tokens: z.number(),
  secondsLeft: z.number().nullable(),
}) satisfies z.ZodType<Progress>;

/** Workflow ids of the studies that have not ended, paused ones too. */
export async function runningStudies(client: Client): Promise<string[]> {
  const query = `WorkflowType = 'study' AND ExecutionStatus = 'Running'`;
  const found: string[] = [];
  for await (const { workflowId } of client.workflow.list({ query })) found.push(workflowId);
  return found;
}

/** The study's latest workflow, running or closed; null when the server knows none. */
export async function describeWorkflow(
  client: Client,
  workflowId: string,
): Promise<WorkflowExecutionDescription | null> {
  try {
    return await client.withDeadline(Date.now() + ANSWER_MS, () =>
      client.workflow.getHandle(workflowId).describe(),
    );
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return null;
    throw error;
  }
}

/** The part of a study workflow's input that identifies its lab. */
const begunForSchema = z.object({ labId: z.string(), createdAt: z.string() });

/**
 * The study with the id of its own workflow. Two labs may have the same tag, and so the same id.
 * Where another study's workflow has the id that the ledger names, running or closed, this gives a unique one.
 */
export async function ownStudy(client: Client, config: StudyConfig): Promise<StudyConfig> {
  const begun = await inputOf(client, config.workflowId);
  if (begun === null) return config;
  const { tag, labId, createdAt } = config;
  const whose = begunForSchema.safeParse(begun[0]).data;
  if (whose?.labId === labId && whose.createdAt === createdAt) return config;
  const key = createHash('sha256').update(`${labId} ${createdAt}`).digest('hex').slice(0, 8);
  return { ...config, workflowId: `study-${tag}-${key}` };
}

/** What the latest workflow of that id was started with; null when the server knows none. */
async function inputOf(client: Client, workflowId: string): Promise<unknown[] | null> {
  const { namespace, loadedDataConverter } = client.options;
  const asked = { namespace, execution: { workflowId }, maximumPageSize: 1 };
  try {
    const { history } = await client.withDeadline(Date.now() + ANSWER_MS, () =>
      client.workflowService.getWorkflowExecutionHistory(asked),
    );
    const [first] = history?.events ?? [];
    const { input } = first?.workflowExecutionStartedEventAttributes ?? {};
    return await decodeValues(loadedDataConverter, input);
  } catch (error) {
    if (hasCode(error, NOT_FOUND)) return null;
    throw error;
  }
}

/** True if a worker polls for it. The server lists a dead worker for up to five minutes. */
export async function isServed(
  client: Client,
  { taskQueue }: WorkflowExecutionDescription,
): Promise<boolean> {
  const { namespace } = client.options;
  const asked = { namespace, taskQueue: { name: taskQueue }, taskQueueType: WORKFLOW_TASKS };
  const { pollers } = await client.withDeadline(Date.now() + ANSWER_MS, () =>
    client.workflowService.describeTaskQueue(asked),
  );
  return pollers.length > 0;
}

/** The study's own answer, or that of a closed run of it; null when no worker gives one. */
export async function queryStatus(
  client: Client,
  workflowId: string,
  { runId, ms = ANSWER_MS }: { runId?: string; ms?: number } = {},
): Promise<StudyStatus | null> {
  try {
    return await client.withDeadline(Date.now() + ms, () =>
      client.workflow.getHandle(workflowId, runId).query<StudyStatus>('status'),
    );
  } catch (error) {
    if (isNoAnswer(error)) return null;
    throw error;
  }
}

/** What the running experiment does just now: no activity when its workflow has not begun or has just ended. */
export async function currentExperiment(
  client: Client,
  workflowId: string,
  number: number,
): Promise<{ current: CurrentExperiment; failing: FailingTask | null }> {
  const child = await describeWorkflow(client, `${workflowId}/exp-${experimentName(number)}`);
  const [activity, failing] =
    child === null
      ? [null, null]
      : await Promise.all([pendingActivity(client, child), failingTask(client, child)]);
  return { current: { number, title: null, activity }, failing };
}

/** The activity that a workflow waits for, with its last heartbeat. */
export async function pendingActivity(
  client: Client,
  { raw }: WorkflowExecutionDescription,
): Promise<PendingActivity | null> {
  const [pending] = raw.pendingActivities ?? [];
  if (pending === undefined) return null;
  const converter = client.options.loadedDataConverter;
  return {
    name: pending.activityType?.name ?? 'activity',
    isWaiting: Number(pending.state) === SCHEDULED,
    attempt: pending.attempt ?? 1,
    next: milliseconds(pending.nextAttemptScheduleTime),
    lastFailure: await failureMessage(converter, pending.lastFailure),
    progress: await progressOf(converter, pending.heartbeatDetails),
  };
}

/** Milliseconds since the epoch; null if the server gave no time. */
const milliseconds = (
  time: { seconds?: unknown; nanos?: number | null } | null | undefined,
): number | null => (time ? Number(time.seconds ?? 0) * 1000 + Math.floor((time.nanos ?? 0) / 1e6) : null);

/** null for a heartbeat that says something else, or nothing that can be read. */
async function progressOf(
  converter: Client['options']['loadedDataConverter'],
  heartbeat: { payloads?: Payload[] | null } | null | undefined,
): Promise<Progress | null> {
  try {
    const [beat] = await decodeValues(converter, heartbeat);
    return progressSchema.safeParse(beat).data ?? null;
  } catch (error) {
    // The user must set the missing key.
    if (error instanceof Error && error.name === 'CodecKeyError') throw error;
    return null;
  }
}

/** The updates that a study takes (src/workflows/messages.ts). */
type RequestName = 'stop' | 'pause' | 'resume' | 'adjustBudget' | 'hint' | 'idea';

/**
 * Asks a study for something and waits for its answer.
 * @throws CliError if it refuses, is not there, or no worker answers
 */
export async function request(
  client: Client,
  { tag, workflowId }: StudyPlace,
  name: RequestName,
  argument?: unknown,
): Promise<StudyStatus> {
  const handle = client.workflow.getHandle(workflowId);
  try {
    return await client.withDeadline(Date.now() + REQUEST_MS, () =>
      argument === undefined
        ? handle.executeUpdate<StudyStatus, []>(name)
        : handle.executeUpdate<StudyStatus, [unknown]>(name, { args: [argument] }),
    );
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) {
      throw new CliError(
        'not-found',
        `study ${tag} is not running`,
        `start it again with \`npx autoresearch resume ${tag}\``,
        { cause: error },
      );
    }
    if (error instanceof WorkflowUpdateFailedError) {
      const why = error.cause?.message ?? error.message;
      throw new CliError('conflict', `study ${tag} refused: ${why}`, 'ask for something else', {
        cause: error,
      });
    }
    if (!isNoAnswer(error)) throw error;
    const workflow = await describeWorkflow(client, workflowId);
    const failing = workflow === null ? null : await failingTask(client, workflow);
    throw failing === null ? noWorker(error) : standsStill(tag, failing, error);
  }
}

export { failingTask };

/** What a person can do about a workflow whose task fails. */
export const failingText = (tag: string, { workflowId, reason }: FailingTask): string =>
  `the workflow ${workflowId} stands still, for its task fails each time: ${reason}. \`npx autoresearch stop ${tag} --now\` ends it, ` +
  `and \`resume ${tag}\` then goes on from the ledger`;

const standsStill = (tag: string, failing: FailingTask, cause: unknown): CliError =>
  new CliError(
    'server',
    `study ${tag} cannot take this: the task of ${failing.workflowId} fails each time (attempt ${failing.attempt}): ${failing.reason}`,
    `end it with \`npx autoresearch stop ${tag} --now\`; \`resume ${tag}\` then goes on from its ledger`,
    { cause },
  );

const noWorker = (cause: unknown): CliError =>
  new CliError(
    'server',
    `the study did not answer within ${REQUEST_MS / 1000} s: its worker is not there, or busy. Once it is back it may still do what you asked`,
    'run `npx autoresearch up`, then see `npx autoresearch status`',
    { cause },
  );

/** The server is down, restarting, or too slow: trying again makes sense. */
export const isServerAway = (error: unknown): boolean => hasCode(error, SERVER_AWAY);

/** The server answers, but no worker does. */
function isNoAnswer(error: unknown): boolean {
  if (error instanceof WorkflowUpdateRPCTimeoutOrCancelledError) return true;
  return hasCode(error, NO_ANSWER);
}

function hasCode(error: unknown, codes: Set<number>): boolean {
  const cause = error instanceof ServiceError ? error.cause : error;
  return isGrpcServiceError(cause) && codes.has(cause.code);
}

/** The page of a workflow in Temporal's UI. */
export function pageOf({ ui, namespace }: Connected, workflowId: string): string | null {
  return ui === null ? null : `${ui}/namespaces/${namespace}/workflows/${encodeURIComponent(workflowId)}`;
}
