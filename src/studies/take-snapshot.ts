/** Takes a snapshot of a study: asks its workflow, and where that cannot answer, reads its ledger. */
import type { WorkflowExecutionDescription } from '@temporalio/client';
import type { ExperimentRecord, Sandbox } from '../domain/experiment';
import { studyStatus } from '../domain/status';
import { rebuild } from '../domain/study';
import { NOTHING_WAITS, without } from '../domain/waiting';
import { findProposal, readProposal } from '../ledger/proposals';
import { readRecord } from '../ledger/ledger';
import { readSummaries } from '../ledger/summaries';
import { buildId } from '../temporal/build-id';
import type { Connected } from '../temporal/connection';
import { journalIn, proposalFolder } from '../researchers/proposal-folder';
import { SpendGuard, type Account } from '../researchers/spend-guard';
import { runningWorker } from '../host/worker-process';
import { withServer, type Live } from './with-server';
import type { Snapshot } from './snapshot';
import type { FoundStudy } from './find-study';

/** Experiments without a run that are passed over for what one with a run says. */
const LOOK_BACK = 10;

/** A snapshot, with or without a server. */
export async function takeSnapshot(study: FoundStudy): Promise<Snapshot> {
  try {
    return await withServer((server, live) => takeSnapshotOver(study, server, live));
  } catch (error) {
    if (!(error instanceof Error) || error.name !== 'ServerUnavailable') throw error;
    const todo = 'todo' in error && typeof error.todo === 'string' ? error.todo : '';
    return fromLedger(study, 'unknown', null, `${error.message}; ${todo}`);
  }
}

/** The same over a connection that is there; following a study does this again and again. */
export async function takeSnapshotOver(study: FoundStudy, server: Connected, live: Live): Promise<Snapshot> {
  const { workflowId, tag } = await live.ownStudy(server.client, study.config);
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
  const failing = await live.failingTask(server.client, workflow);
  if (failing !== null) {
    // Not asked: each question would make the worker fail once more.
    return { ...(await fromLedger(study, 'unknown', link, live.failingText(tag, failing))), failing };
  }
  const [status, opening] = await Promise.all([
    live.queryStatus(server.client, workflowId),
    live.pendingActivity(server.client, workflow),
  ]);
  if (status === null) {
    return fromLedger(study, 'unknown', link, 'the study does not answer: its worker is busy, or not there');
  }
  const { current, failing: childFailing } =
    status.current === null
      ? NO_EXPERIMENT
      : await live.currentExperiment(server.client, workflowId, status.current);
  const proposed = current === null ? NOTHING_PROPOSED : await proposedFor(study, current.number);
  if (current !== null) current.title = proposed.title;
  const sandbox = await sandboxOf(study, status.spent.experiments - 1);
  // The study takes in what its experiment has heard when that ends; people want to know now.
  const waiting = without(status.waiting, { ...NOTHING_WAITS, hints: [...proposed.hints] });
  return {
    source: 'workflow',
    study: { ...status, waiting },
    current,
    proposing: await proposing(study, status.spent.experiments),
    opening,
    sandbox,
    failing: childFailing,
    link,
    problem: childFailing === null ? null : live.failingText(tag, childFailing),
  };
}

const NO_EXPERIMENT = { current: null, failing: null };

async function fromLedger(
  { git, config }: FoundStudy,
  phase: Snapshot['study']['phase'],
  link: string | null,
  problem: string | null,
): Promise<Snapshot> {
  const experiments = await readSummaries(git, config.tag, buildId());
  const state = { ...rebuild(config.limits, experiments), waiting: config.waiting };
  const study = { ...studyStatus(config, state, 'stopped', null), phase };
  return {
    source: 'ledger',
    study,
    current: null,
    proposing: await proposing({ config }, experiments.length),
    opening: null,
    failing: null,
    sandbox: await sandboxOf({ git, config }, experiments.at(-1)?.number ?? -1),
    link,
    problem,
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

/** From the journal on this host: also of a proposal that was given up for want of money. */
async function proposing({ config }: Pick<FoundStudy, 'config'>, next: number): Promise<Account> {
  return (await SpendGuard.open(journalIn(proposalFolder(config, next)), null)).account();
}

interface ProposedFor {
  /** The researcher's words for the experiment; null before it has proposed. */
  title: string | null;
  /** What it has heard. */
  hints: readonly string[];
}

const NOTHING_PROPOSED: ProposedFor = { title: null, hints: [] };

async function proposedFor({ git, config }: FoundStudy, number: number): Promise<ProposedFor> {
  if (number === 0) return { title: 'baseline', hints: [] };
  const proposal = await findProposal(git, config.tag, number);
  if (proposal === null) return NOTHING_PROPOSED;
  const { title, research } = await readProposal(git, proposal);
  return { title, hints: research?.hints ?? [] };
}

/** Of the last experiment that ran: some end without a run, but after three of those in a row the study rests. */
async function sandboxOf({ git, config }: FoundStudy, last: number): Promise<Sandbox | null> {
  for (let number = last; number >= Math.max(0, last - LOOK_BACK); number--) {
    const sandbox = lastSandbox(await readRecord(git, config.tag, number));
    if (sandbox !== null) return sandbox;
  }
  return null;
}

const lastSandbox = (record: ExperimentRecord | null | undefined): Sandbox | null =>
  record?.runs.at(-1)?.sandbox ?? null;
