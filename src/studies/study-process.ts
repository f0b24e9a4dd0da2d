/** A study's workflows as Temporal knows them, for `verify` to compare with the records. */
import type { ExperimentSummary } from '../domain/experiment';
import type { StudyConfig } from '../domain/study';
import type { Outcome } from '../ledger/verify/check-workflows';
import type { Connected } from '../temporal/connection';
import type * as ExecutionsModule from '../temporal/executions';
import { runningWorker } from '../host/worker-process';
import { withServer, type Live } from './with-server';

export interface StudyProcess {
  /** The study may be writing: a difference that disappears by itself is none. */
  isWorking: boolean;
  /** Closed experiments that are still retained. */
  outcomes: Outcome[];
  /** Numbers of the experiments whose workflows have not ended. */
  open: number[];
  /** The last experiments as the study itself knows them; empty where no worker answers. */
  history: ExperimentSummary[];
}

/** null without a server. */
export async function readStudyProcess(config: StudyConfig): Promise<StudyProcess | null> {
  try {
    return await withServer(async (server, live) =>
      readFrom(await live.ownStudy(server.client, config), server, live),
    );
  } catch (error) {
    if (error instanceof Error && error.name === 'ServerUnavailable') return null;
    throw error;
  }
}

async function readFrom({ workflowId }: StudyConfig, server: Connected, live: Live): Promise<StudyProcess> {
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
  // Without a worker a query would wait in vain, and nothing is being written.
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
