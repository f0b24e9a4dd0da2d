/** Takes a snapshot of a study: asks its workflow, and where that cannot answer, reads its ledger. */
import type { WorkflowExecutionDescription } from '@temporalio/client';
import { summarize, type ExperimentRecord, type Sandbox } from '../domain/experiment';
import { studyStatus } from '../domain/status';
import { rebuild } from '../domain/study';
import { findProposal, readProposal } from '../lab/edits';
import { readLedger, readRecord } from '../lab/ledger';
import type { Connected } from '../temporal/connection';
import { runningWorker } from '../temporal/worker-process';
import { withServer, type Live } from './server';
import type { Snapshot } from './snapshot';
import type { FoundStudy } from './study-ref';

/** A snapshot, with or without a server. */
export async function look(study: FoundStudy): Promise<Snapshot> {
  try {
    return await withServer((server, live) => lookThrough(study, server, live));
  } catch (error) {
    if (!(error instanceof Error) || error.name !== 'ServerUnavailable') throw error;
    const todo = 'todo' in error && typeof error.todo === 'string' ? error.todo : '';
    return fromLedger(study, 'unknown', null, `${error.message}; ${todo}`);
  }
}

/** The same over a connection that is there; following a study does this again and again. */
export async function lookThrough(study: FoundStudy, server: Connected, live: Live): Promise<Snapshot> {
  const { workflowId, tag } = study.config;
  const workflow = await live.describeWorkflow(server.client, workflowId);
  const link = live.pageOf(server, workflowId);
  if (workflow === null || workflow.status.name !== 'RUNNING') {
    return fromLedger(study, 'stopped', link, endOf(workflow, tag));
  }
  if (server.ours && (await runningWorker()) === null) {
    return fromLedger(
      study,
      'unknown',
      link,
      'it waits, for no worker runs: `npx autoresearch up` starts one',
    );
  }
  const [status, opening] = await Promise.all([
    live.queryStatus(server.client, workflowId),
    live.pendingActivity(server.client, workflow),
  ]);
  if (status === null) {
    return fromLedger(study, 'unknown', link, 'the study does not answer: its worker is busy, or not there');
  }
  const current =
    status.current === null ? null : await live.currentExperiment(server.client, workflowId, status.current);
  if (current !== null) current.title = await titleOf(study, current.number);
  const sandbox = await sandboxOf(study, status.spent.experiments - 1);
  return { source: 'workflow', study: status, current, opening, sandbox, link, trouble: null };
}

async function fromLedger(
  { git, config }: FoundStudy,
  phase: Snapshot['study']['phase'],
  link: string | null,
  trouble: string | null,
): Promise<Snapshot> {
  const records = await readLedger(git, config.tag);
  const state = rebuild(config.limits, records.map(summarize));
  const study = { ...studyStatus(config, state, 'stopped', null), phase };
  return {
    source: 'ledger',
    study,
    current: null,
    opening: null,
    sandbox: lastSandbox(records.at(-1)),
    link,
    trouble,
  };
}

const ENDS: Record<string, string> = {
  TERMINATED: 'was terminated',
  CANCELLED: 'was cancelled',
  FAILED: 'has failed',
  TIMED_OUT: 'has timed out',
};

/** A workflow that ended in another way than by `stop`, in words. */
function endOf(workflow: WorkflowExecutionDescription | null, tag: string): string | null {
  const end = ENDS[workflow?.status.name ?? ''];
  return end === undefined
    ? null
    : `its workflow ${end}: \`npx autoresearch resume ${tag}\` goes on from the ledger`;
}

/** The researcher's words for an experiment under way; null before it has proposed. */
async function titleOf({ git, config }: FoundStudy, number: number): Promise<string | null> {
  if (number === 0) return 'baseline';
  const proposal = await findProposal(git, config.tag, number);
  return proposal === null ? null : (await readProposal(git, proposal)).title;
}

async function sandboxOf({ git, config }: FoundStudy, number: number): Promise<Sandbox | null> {
  return number < 0 ? null : lastSandbox(await readRecord(git, config.tag, number));
}

const lastSandbox = (record: ExperimentRecord | null | undefined): Sandbox | null =>
  record?.runs.at(-1)?.sandbox ?? null;
