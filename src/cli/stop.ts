/** `stop`: the study's end, until `resume`. */
import type { Command } from 'commander';
import { z } from 'zod';
import { ask } from './ask';
import { handle, newCommand } from './command';
import { studyOptions, takesStudy } from './study-ref';

const schema = z.object({ ...studyOptions, now: z.boolean() });

export function stopCommand(): Command {
  const command = takesStudy(
    newCommand({
      name: 'stop',
      summary: 'end a study after its running experiment, or with --now at once',
      details:
        'Ends a study after its running experiment. With --now the run is killed within seconds and leaves no record: ' +
        'the same experiment, with the same seed, is the first after `resume`.',
      examples: ['npx autoresearch stop', 'npx autoresearch stop nov21 --now'],
    }),
  ).option('--now', 'do not wait for the running experiment', false);
  return handle(command, schema, (out, { now, ...choice }) => ask(out, choice, 'stop', { now }));
}
