/** `budget`: sets limits of a running study; one that waits at a limit goes on at once when that is raised. */
import type { Command } from 'commander';
import { z } from 'zod';
import { ask } from './ask';
import { handle, newCommand } from './command';
import { CliError } from './errors';
import { givenLimits, limitSchemas, takesLimits } from './limits';
import { studyOptions, takesStudy } from './study-ref';

const schema = z.object({ ...studyOptions, ...limitSchemas });

export function budgetCommand(): Command {
  const command = takesLimits(
    takesStudy(
      newCommand({
        name: 'budget',
        summary: 'change the limits of a running study',
        examples: [
          'npx autoresearch budget --experiments 200',
          'npx autoresearch budget nov21 --gpu-hours none',
        ],
      }),
    ),
  );
  return handle(command, schema, async (out, { experiments, gpuHours, hours, usd, ...choice }) => {
    const limits = givenLimits({ experiments, gpuHours, hours, usd });
    if (Object.keys(limits).length === 0) {
      throw new CliError(
        'usage',
        'no limit was given',
        'add --experiments, --gpu-hours, --hours or --usd, each with a number or `none`',
      );
    }
    await ask(out, choice, 'adjustBudget', limits);
  });
}
