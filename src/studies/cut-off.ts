/** A workflow run that was ended without being stopped (terminated, cancelled in the UI, failed): what people had asked of it. */
import type { Client, WorkflowExecutionDescription } from '@temporalio/client';
import { isDeepStrictEqual } from 'node:util';
import type { StudyStatus } from '../domain/status';
import { lastTaken, stillWaiting, type Asked } from '../domain/waiting';
import { readLedger } from '../ledger/ledger';
import type { Connected } from '../temporal/connection';
import { askedInHistory, type AskedOf } from './asked-in-history';
import { isServerAway, queryStatus } from './live';
import { waitingText } from '../domain/waiting';
import type { FoundStudy } from './find-study';

/** A closed run is replayed from its first event before it answers, on a busy machine for seconds. */
const REPLAY_MS = 30_000;
/** How a workflow ends that had no time to save; one that was stopped has. */
const CUT_OFF = new Set(['TERMINATED', 'CANCELLED', 'FAILED', 'TIMED_OUT']);

/**
 * What the next run of a study begins with: what its ledger knows, and where the last run was cut off what that knew beyond it.
 * Call it when nothing of the last run is at work any more.
 * @param last the study's last workflow run; null where the server knows none
 * @param say told what is taken over, or that it is lost
 */
export async function askedBefore(
  { client }: Connected,
  { config, git }: FoundStudy,
  last: WorkflowExecutionDescription | null,
  say: (line: string) => void,
): Promise<Asked> {
  const { limits, waiting } = config;
  if (last === null) {
    say('the server knows no earlier workflow of it: what its ledger has is all there is');
    return { limits, waiting };
  }
  if (!CUT_OFF.has(last.status.name)) return { limits, waiting };
  const how = last.status.name.toLowerCase().replace('_', ' ');
  const known = await knownBy(client, last);
  if (known === null) {
    say(
      `its last workflow was ${how} and does not answer: hints, ideas and new limits that waited in it are lost, if there were any`,
    );
    return { limits, waiting };
  }
  const knows = { experiments: known.experiments, startedAt: last.startTime.getTime() };
  const taken = lastTaken(await readLedger(git, config.tag));
  const asked = { limits: known.limits, waiting: stillWaiting(known.waiting, taken, knows) };
  const more = [
    ...(isDeepStrictEqual(asked.limits, limits) ? [] : ['its limits']),
    ...(isDeepStrictEqual(asked.waiting, waiting) ? [] : [waitingText({ ...config, ...asked })]),
  ].filter((text) => text !== '');
  if (more.length > 0) say(`taken over from its last workflow, which was ${how}: ${more.join('; ')}`);
  return asked;
}

/** What the run knew, by its own answer, else by its history; null where neither tells. */
async function knownBy(client: Client, last: WorkflowExecutionDescription): Promise<AskedOf | null> {
  const status = await answerOf(client, last);
  if (status !== null) return { ...status, experiments: status.spent.experiments };
  return askedInHistory(client, last.workflowId, last.runId).catch((error: unknown) => {
    if (isServerAway(error) || (error instanceof Error && error.name === 'CodecKeyError')) throw error;
    return null;
  });
}

/** null where it can give none: no worker, one whose code could not have done what this run did, or a failed task. */
async function answerOf(
  client: Client,
  { workflowId, runId }: WorkflowExecutionDescription,
): Promise<StudyStatus | null> {
  try {
    return await queryStatus(client, workflowId, { runId, ms: REPLAY_MS });
  } catch (error) {
    if (isServerAway(error) || (error instanceof Error && error.name === 'CodecKeyError')) throw error;
    return null;
  }
}
