/** Heartbeats of long activities: the server learns that the worker lives, and answers whether the activity was cancelled. */
import { Context } from '@temporalio/activity';
import type { StudyRef } from '../domain/run';
import { isEnded } from './ended';

/** Each heartbeat is a billable action: one a second would be 86,400 a day. */
const EVERY_MS = 10_000;
/** How often the disk is asked whether the workflow was cancelled; that costs nothing. */
const LOOK_MS = 250;

interface Options {
  /** With a study, the activity hears of its cancellation as soon as `endWork` has marked its workflow, not 10 s later. */
  study?: StudyRef;
  details?: () => unknown;
}

/** Waits for `work` and sends heartbeats meanwhile, each with the current `details`. */
export async function heartbeatWhile<T>(
  work: Promise<T>,
  { study, details = () => undefined }: Options = {},
): Promise<T> {
  const context = Context.current();
  const beat = (): void => context.heartbeat(details());
  beat();
  const timers = [setInterval(beat, EVERY_MS)];
  if (study !== undefined) timers.push(onceEnded(study, beat));
  try {
    return await work;
  } finally {
    timers.forEach(clearInterval);
  }
}

/** Calls `beat` when the calling workflow is marked as ended: the server's answer then cancels the activity. */
function onceEnded(study: StudyRef, beat: () => void): NodeJS.Timeout {
  const look = async (): Promise<void> => {
    if (!(await isEnded(study))) return;
    clearInterval(timer);
    beat();
  };
  // An unreadable disk delays the news to the next regular heartbeat.
  const timer = setInterval(() => void look().catch(() => undefined), LOOK_MS);
  return timer;
}

/** An activity with heartbeats. The server then soon notices that its worker has died. */
export function withHeartbeats<Input, Output>(
  activity: (input: Input) => Promise<Output>,
): (input: Input) => Promise<Output> {
  return (input) => heartbeatWhile(activity(input));
}
