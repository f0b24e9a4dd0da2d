/** What replaying found, one line for each history that would go otherwise. */
import type { Coverage } from '../../temporal/histories';
import type { Replayed } from '../../temporal/replay';
import { cleanLine, colour } from '../output';

const WIDTH = 500;

/** @param coverage null where an archive does not say */
export function replayedText(replayed: readonly Replayed[], coverage: Coverage | null): string {
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
  const gone =
    coverage === null
      ? ['How many experiments have no history in it the archive does not say: it is of version 0.2']
      : goneText(coverage);
  return [...lines, `${count}, ${events} events: ${outcome}`, ...gone].join('\n');
}

/** A line on the experiments of which there is nothing to replay, where there are any. */
export function goneText({ experiments, withoutHistory }: Coverage): string[] {
  if (withoutHistory === 0) return [];
  const have = withoutHistory === 1 ? 'has' : 'have';
  return [
    `${withoutHistory} of the ledger’s ${experiments} experiments ${have} no history any more: closed workflows go at the namespace’s retention`,
  ];
}
