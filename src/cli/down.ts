/** `autoresearch down`: ends what `up` and studies have started on this host. */
import type { Command } from 'commander';
import { z } from 'zod';
import { takeDown } from '../host/down';
import { handle, newCommand } from './command';

export function downCommand(): Command {
  const command = newCommand({
    name: 'down',
    details:
      'Stops runs, data preparations, the worker and the Temporal server that autoresearch has started on this host, and nothing else. ' +
      'Studies stay: after `up` they go on where they were, and a run that was cut off is repeated with its seed.',
    examples: ['npx autoresearch down'],
  });
  return handle(command, z.object({}), async (out) => {
    const ended = await takeDown(out.note);
    const parts = [...ended.work, ...(ended.worker ? ['worker'] : []), ...(ended.server ? ['server'] : [])];
    out.answer(
      ended,
      parts.length === 0 ? 'neither runs nor worker nor server were running' : `stopped: ${parts.join(', ')}`,
    );
  });
}
