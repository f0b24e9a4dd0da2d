/** Stops what a cancelled workflow has at work, before that workflow closes. */
import { CancellationScope, log } from '@temporalio/workflow';
import type { EndWorkInput } from '../activities/interface';
import { endWork as onHost } from './activities';
import { causesOf, messageOf } from './failures';

/**
 * Does `work`. When the current scope is cancelled meanwhile, everything that the host runs for it is stopped at once: the activity
 * at work hears of the cancellation only with a heartbeat, and never if its worker has died.
 * @param onStopped called in the workflow task that brings that news, which must send a command (see `show` in study.ts)
 * @throws CancelledFailure if the scope was cancelled, however the work ended then
 */
export async function stoppedOnCancel<T>(
  input: EndWorkInput,
  work: () => Promise<T>,
  onStopped: () => void = () => undefined,
): Promise<T> {
  const scope = CancellationScope.current();
  let isOver = false;
  const stopped = scope.cancelRequested.catch(async () => {
    if (isOver) return;
    await endWork(input);
    onStopped();
  });
  try {
    return await work();
  } catch (error) {
    if (!scope.consideredCancelled) throw error;
    await stopped;
    return await scope.cancelRequested;
  } finally {
    isOver = true;
  }
}

/** A failure is logged and does not hold up the workflow. */
async function endWork(input: EndWorkInput): Promise<void> {
  try {
    await CancellationScope.nonCancellable(() => onHost(input));
  } catch (error) {
    log.error(
      `what was at work may still be, until its own limits end it: ${messageOf(causesOf(error).at(-1))}; \`autoresearch down\` ends everything`,
    );
  }
}
