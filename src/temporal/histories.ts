/**
 * Fetches a study's event histories: every run of the study's workflow along its continue-as-new chain, and every run of its
 * experiments. The server deletes closed ones after the namespace's retention.
 */
import { isGrpcServiceError, WorkflowNotFoundError, type Client } from '@temporalio/client';
import type { History } from '@temporalio/common/lib/proto-utils';
import { experimentPrefix, listExecutions } from './executions';

/** One run of one workflow. */
export interface RunHistory {
  workflowId: string;
  runId: string;
  history: History;
}

/** How much of a study its histories cover. */
export interface Coverage {
  /** In the ledger. */
  experiments: number;
  /** Of those: the server has deleted their histories, or they ran on another server. */
  withoutHistory: number;
}

type Run = Omit<RunHistory, 'history'>;

/** Experiments fetched concurrently, for a server with high latency. */
const AT_ONCE = 8;
/** gRPC's NOT_FOUND. */
const NOT_FOUND = 5;

/**
 * The study's runs, oldest first, then its experiments by number. If the study is still running, its last histories
 * are open.
 */
export async function* studyHistories(client: Client, workflowId: string): AsyncGenerator<RunHistory> {
  const listed = await listExecutions(client, workflowId);
  const studies = await studyRuns(
    client,
    workflowId,
    listed.filter((run) => run.workflowId === workflowId),
  );
  yield* studies;
  // The server's list may lag behind; the study's own events do not.
  const runs = [
    ...listed.filter((run) => run.workflowId !== workflowId),
    ...studies.flatMap(({ history }) => startedChildren(history)),
  ];
  const experiments = [...new Map(runs.map((run) => [run.runId, run])).values()];
  experiments.sort((a, b) => experimentNumber(workflowId, a) - experimentNumber(workflowId, b));
  for (let begin = 0; begin < experiments.length; begin += AT_ONCE) {
    const batch = experiments.slice(begin, begin + AT_ONCE);
    const fetched = await Promise.all(batch.map((run) => fetchRun(client, run)));
    yield* fetched.filter((run) => run !== null);
  }
}

/** @param recorded experiment numbers in the ledger before the histories were fetched */
export function coverageOf(
  workflowId: string,
  recorded: readonly number[],
  histories: readonly Pick<RunHistory, 'workflowId'>[],
): Coverage {
  const known = new Set(histories.map((run) => experimentNumber(workflowId, run)));
  const gone = recorded.filter((number) => !known.has(number));
  return { experiments: recorded.length, withoutHistory: gone.length };
}

/** NaN for the study itself. */
const experimentNumber = (study: string, { workflowId }: Pick<Run, 'workflowId'>): number =>
  Number(workflowId.slice(experimentPrefix(study).length) || Number.NaN);

/** The histories of these workflows that the server still has. */
export async function* historiesOf(client: Client, runs: readonly Run[]): AsyncGenerator<RunHistory> {
  for (const each of runs) {
    const run = await fetchRun(client, each);
    if (run !== null) yield run;
  }
}

/** Runs of the study's workflow: those that the server lists, the current one, and their whole chains. */
async function studyRuns(client: Client, workflowId: string, listed: readonly Run[]): Promise<RunHistory[]> {
  const found: RunHistory[] = [];
  const known = new Set<string>();
  const latest = await unlessGone(client.workflow.getHandle(workflowId).describe());
  const waiting = [...listed, ...(latest === null ? [] : [latest])].map(({ runId }) => runId);
  for (let runId = waiting.pop(); runId !== undefined; runId = waiting.pop()) {
    if (known.has(runId)) continue;
    known.add(runId);
    const run = await fetchRun(client, { workflowId, runId });
    if (run === null) continue;
    found.push(run);
    waiting.push(...neighbours(run.history));
  }
  return found.toSorted((a, b) => begunAt(a.history) - begunAt(b.history));
}

/** Null if the server has deleted it. */
async function fetchRun(client: Client, { workflowId, runId }: Run): Promise<RunHistory | null> {
  const history = await unlessGone(client.workflow.getHandle(workflowId, runId).fetchHistory());
  return history === null ? null : { workflowId, runId, history };
}

async function unlessGone<T>(asked: Promise<T>): Promise<T | null> {
  try {
    return await asked;
  } catch (error) {
    const code: number | null = isGrpcServiceError(error) ? error.code : null;
    if (code === NOT_FOUND || error instanceof WorkflowNotFoundError) return null;
    throw error;
  }
}

/** The runs before and after one in its chain, and the one that it was reset from (itself if it was not). */
function neighbours({ events }: History): string[] {
  const first = events?.[0]?.workflowExecutionStartedEventAttributes;
  const last = events?.at(-1);
  return [
    first?.continuedExecutionRunId,
    first?.originalExecutionRunId,
    last?.workflowExecutionContinuedAsNewEventAttributes?.newExecutionRunId,
    last?.workflowExecutionFailedEventAttributes?.newExecutionRunId,
    last?.workflowExecutionTimedOutEventAttributes?.newExecutionRunId,
    last?.workflowExecutionCompletedEventAttributes?.newExecutionRunId,
  ].filter((runId): runId is string => typeof runId === 'string' && runId !== '');
}

function startedChildren({ events }: History): Run[] {
  return (events ?? []).flatMap(({ childWorkflowExecutionStartedEventAttributes: started }) => {
    const { workflowId, runId } = started?.workflowExecution ?? {};
    return typeof workflowId === 'string' && typeof runId === 'string' ? [{ workflowId, runId }] : [];
  });
}

function begunAt({ events }: History): number {
  const { seconds, nanos } = events?.[0]?.eventTime ?? {};
  return Number(seconds ?? 0) + (nanos ?? 0) / 1e9;
}
