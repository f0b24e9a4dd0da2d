/** What replaying found, one line for each history that would go otherwise. */
import type { Replayed } from '../../temporal/replay';
import { cleanLine, colour } from '../output';

const WIDTH = 500;

export function replayedText(replayed: readonly Replayed[]): string {
  const lines = replayed.flatMap(({ workflowId, runId, failure }) => {
    if (failure === null) return [];
    const { kind, message, event } = failure;
    const where = event === null ? '' : `, event ${event.id} (${event.type})`;
    return [`${colour.red(`${kind}:`)} ${workflowId}, run ${runId}${where}: ${cleanLine(message, WIDTH)}`];
  });
  const events = replayed.reduce((sum, one) => sum + one.events, 0);
  const count = replayed.length === 1 ? '1 history' : `${replayed.length} histories`;
  const outcome =
    lines.length === 0
      ? 'today’s workflow code does what was done'
      : `${lines.length} would go otherwise → a change to what a workflow does goes through \`patched\``;
  return [...lines, `${count}, ${events} events: ${outcome}`].join('\n');
}
