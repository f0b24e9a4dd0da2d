/** What the next run of a study takes over from a workflow that ended without `stop`: terminated, cancelled in the UI, failed. */
import type { Client, WorkflowExecutionDescription } from '@temporalio/client';
import { isDeepStrictEqual } from 'node:util';
import type { StudyStatus } from '../domain/status';
import { lastTaken, stillWaiting, type Asked } from '../domain/waiting';
import { readLedger } from '../ledger/ledger';
import type { Connected } from '../temporal/connection';
import { requestsInHistory, type AskedOf } from './requests-in-history';
import { isServerAway, queryStatus } from './study-workflow';
import { waitingText } from '../domain/waiting';
import type { FoundStudy } from './find-study';

/** A closed run answers after a replay from its first event, which takes seconds on a busy machine. */
const REPLAY_MS = 30_000;
/** Ends of a workflow without the time to save. `stop` saves. */
const ENDED_UNSAVED = new Set(['TERMINATED', 'CANCELLED', 'FAILED', 'TIMED_OUT']);

/**
 * The limits and messages that the next run of a study begins with: those of its ledger, and where the last run ended without `stop`
 * those that it had taken since. Call it after all work of the last run has ended.
 * @param last the study's last workflow run; null where the server knows none
 * @param say prints what is carried over, or that it is lost
 */
export async function carriedOver(
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
  if (!ENDED_UNSAVED.has(last.status.name)) return { limits, waiting };
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

/** What the run knew, by its own answer, else by its history; null where both fail. */
async function knownBy(client: Client, last: WorkflowExecutionDescription): Promise<AskedOf | null> {
  const status = await answerOf(client, last);
  if (status !== null) return { ...status, experiments: status.spent.experiments };
  return requestsInHistory(client, last.workflowId, last.runId).catch((error: unknown) => {
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
