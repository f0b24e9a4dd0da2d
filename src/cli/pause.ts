/** `pause`: the study waits after its running experiment. */
import type { Command } from 'commander';
import { z } from 'zod';
import { ask } from './ask';
import { handle, newCommand } from './command';
import { studyOptions, takesStudy } from '../studies/find-study';

export function pauseCommand(): Command {
  const command = takesStudy(
    newCommand({
      name: 'pause',
      examples: ['npx autoresearch pause', 'npx autoresearch pause nov21'],
    }),
  );
  return handle(command, z.object(studyOptions), (out, choice) => ask(out, choice, 'pause'));
}
