/** `budget`: sets limits of a running study; one that waits at a limit goes on at once when that is raised. */
import type { Command } from 'commander';
import { z } from 'zod';
import { sendRequest } from './send-request';
import { handle, newCommand } from './command';
import { givenLimits, limitSchemas, takesLimits } from './limits';
import { takeSnapshot } from '../studies/take-snapshot';
import { spentText } from './render/status';
import { findShown, studyOptions, takesStudy } from '../studies/find-study';

const schema = z.object({ ...studyOptions, ...limitSchemas });

export function budgetCommand(): Command {
  const command = takesLimits(
    takesStudy(
      newCommand({
        name: 'budget',
        examples: [
          'npx autoresearch budget',
          'npx autoresearch budget --experiments 200',
          'npx autoresearch budget nov21 --gpu-hours none',
        ],
      }),
    ),
  );
  return handle(command, schema, async (out, { experiments, gpuHours, hours, usd, ...choice }) => {
    const limits = givenLimits({ experiments, gpuHours, hours, usd });
    if (Object.keys(limits).length === 0) {
      const { study } = await takeSnapshot(await findShown(choice));
      const { tag, phase, spent, limits: set } = study;
      out.answer({ tag, phase, limits: set, spent }, `${tag}: ${spentText(study)}`);
      return;
    }
    await sendRequest(out, choice, 'adjustBudget', limits);
  });
}
