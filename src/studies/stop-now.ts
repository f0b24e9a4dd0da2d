/**
 * `stop --now`: ends a study whatever state its workflows are in. As a rule the study does it itself. One that cannot take the message is
 * terminated, and so is an experiment that cannot take its cancellation: what is recorded is in the ledger, and `resume` asks the
 * closed workflow for what people had said.
 */
import { WorkflowNotFoundError, type Client, type WorkflowExecutionDescription } from '@temporalio/client';
import { setTimeout as sleep } from 'node:timers/promises';
import { endRuns } from '../runs/end-runs';
import { markEnded } from '../runs/ended';
import { endPreparer } from '../activities/prepare-data';
import { endSmokeTest } from '../activities/smoke-test';
import type { StudyConfig } from '../domain/study';
import { experimentOf } from '../temporal/executions';
import { failingTask } from '../temporal/failing-task';
import { CliError } from './errors';
import { describeWorkflow, request } from './study-workflow';

/** A run ends within seconds of being asked to; then what is still under way is being recorded. */
const END_MS = 15_000;
const LOOK_MS = 500;

/**
 * Ends it, and waits a while for that.
 * @param study with the id of its own workflow
 * @throws CliError if it does not run
 */
export async function stopNow(
  client: Client,
  study: StudyConfig,
  say: (line: string) => void,
): Promise<void> {
  if (!(await isAsked(client, study, say))) return;
  const end = performance.now() + END_MS;
  do {
    const workflow = await describeWorkflow(client, study.workflowId);
    if (workflow?.status.name !== 'RUNNING') return;
    const failing = await failingTask(client, workflow);
    if (failing !== null) return terminateStudy(client, study, workflow, failing.reason, say);
    for (const child of await childrenOf(client, workflow)) await endIfFailing(client, study, child, say);
    await sleep(LOOK_MS);
  } while (performance.now() < end);
}

/** False where the study could not be asked, and was terminated. */
async function isAsked(client: Client, study: StudyConfig, say: (line: string) => void): Promise<boolean> {
  const workflow = await describeWorkflow(client, study.workflowId);
  const failing = workflow?.status.name === 'RUNNING' ? await failingTask(client, workflow) : null;
  let reason = failing?.reason;
  try {
    if (reason === undefined) {
      await request(client, study, 'stop', { now: true });
      return true;
    }
  } catch (error) {
    if (!(error instanceof CliError && error.code === 'server')) throw error;
    reason = error.message;
  }
  const now = await describeWorkflow(client, study.workflowId);
  if (now?.status.name === 'RUNNING') await terminateStudy(client, study, now, reason, say);
  return false;
}

/** Terminates an experiment whose workflow task fails: it cannot take its cancellation. @returns whether it was */
export async function endIfFailing(
  client: Client,
  study: StudyConfig,
  child: WorkflowExecutionDescription,
  say: (line: string) => void,
): Promise<boolean> {
  const failing = await failingTask(client, child);
  if (failing === null) return false;
  await terminate(client, study, child, failing.reason, say);
  return true;
}

async function terminateStudy(
  client: Client,
  study: StudyConfig,
  workflow: WorkflowExecutionDescription,
  reason: string,
  say: (line: string) => void,
): Promise<void> {
  const children = await childrenOf(client, workflow);
  // First: it must not begin another experiment when it hears the end of this one.
  await terminate(client, study, workflow, reason, say);
  for (const child of children) await terminate(client, study, child, 'its study was terminated', say);
}

/** Terminates a workflow of the study, and ends what it has at work on this host. */
async function terminate(
  client: Client,
  study: StudyConfig,
  { workflowId, runId }: WorkflowExecutionDescription,
  reason: string,
  say: (line: string) => void,
): Promise<void> {
  say(`terminates ${workflowId}, which cannot end by itself: ${reason}`);
  // A worker that is frozen now begins nothing for it later.
  await markEnded(study, runId);
  await client.workflow
    .getHandle(workflowId, runId)
    .terminate(`autoresearch stop --now: ${reason}`)
    .catch((error: unknown) => {
      // It has ended meanwhile.
      if (!(error instanceof WorkflowNotFoundError)) throw error;
    });
  const number = experimentOf(study.workflowId, workflowId);
  if (number === null) await endPreparer(study);
  else await Promise.all([endRuns(study, number), endSmokeTest(study, number)]);
}

async function childrenOf(
  client: Client,
  { raw }: WorkflowExecutionDescription,
): Promise<WorkflowExecutionDescription[]> {
  const ids = (raw.pendingChildren ?? []).flatMap(({ workflowId }) => workflowId ?? []);
  const found = await Promise.all(ids.map((id) => describeWorkflow(client, id)));
  return found.filter((child) => child?.status.name === 'RUNNING').filter((child) => child !== null);
}
