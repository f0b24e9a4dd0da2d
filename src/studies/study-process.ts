/** What Temporal says of a study's process, for `verify` to hold against the records. */
import type { ExperimentSummary } from '../domain/experiment';
import type { StudyConfig } from '../domain/study';
import type { Outcome } from '../ledger/verify/check-workflows';
import type { Connected } from '../temporal/connection';
import type * as ExecutionsModule from '../temporal/executions';
import { runningWorker } from '../host/worker-process';
import { withServer, type Live } from './with-server';

export interface StudyProcess {
  /** Something may just now be written: differences that pass by themselves are none. */
  isWorking: boolean;
  /** Closed experiments that are still retained. */
  outcomes: Outcome[];
  /** Numbers of the experiments whose workflows have not ended. */
  open: number[];
  /** The last experiments as the study itself knows them; empty where nobody answers for it. */
  history: ExperimentSummary[];
}

/** null without a server. */
export async function lookAtProcess(config: StudyConfig): Promise<StudyProcess | null> {
  try {
    return await withServer(async (server, live) =>
      look(await live.ownStudy(server.client, config), server, live),
    );
  } catch (error) {
    if (error instanceof Error && error.name === 'ServerUnavailable') return null;
    throw error;
  }
}

async function look({ workflowId }: StudyConfig, server: Connected, live: Live): Promise<StudyProcess> {
  // Not at the top: it loads Temporal's client, which takes longer than all that git has to answer.
  const { listExecutions, experimentPrefix }: typeof ExecutionsModule = require('../temporal/executions');
  const prefix = experimentPrefix(workflowId);
  const outcomes: Outcome[] = [];
  const open: number[] = [];
  const executions = await listExecutions(server.client, workflowId);
  for (const { workflowId: id, runId, status: state, verdict, score } of executions) {
    if (!id.startsWith(prefix)) continue;
    if (state === 'RUNNING') open.push(Number(id.slice(prefix.length)));
    if (verdict === null) continue;
    outcomes.push({ number: Number(id.slice(prefix.length)), workflowId: id, runId, verdict, score });
  }
  const workflow = await live.describeWorkflow(server.client, workflowId);
  // Without a worker a query waits for nobody, and nothing is written either.
  const isServed =
    workflow?.status.name === 'RUNNING' &&
    (server.ours ? (await runningWorker()) !== null : await live.isServed(server.client, workflow));
  const status = isServed ? await live.queryStatus(server.client, workflowId) : null;
  return {
    isWorking: isServed && !(status?.phase === 'paused' && status.current === null),
    outcomes,
    open,
    history: status?.recent ?? [],
  };
}
