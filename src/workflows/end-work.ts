/** What was cancelled is to be at an end when its workflow is. */
import { CancellationScope, log } from '@temporalio/workflow';
import type { EndWorkInput } from '../activities/interface';
import { endWork as onHost } from './activities';
import { causesOf, messageOf } from './failures';

/** Ends what a cancelled activity may have left at work. Where that cannot be done it is told, and holds nobody up for ever. */
export async function endWork(input: EndWorkInput): Promise<void> {
  try {
    await CancellationScope.nonCancellable(() => onHost(input));
  } catch (error) {
    log.error(
      `what was at work may still be, until its own limits end it: ${messageOf(causesOf(error).at(-1))}; \`autoresearch down\` ends everything`,
    );
  }
}
