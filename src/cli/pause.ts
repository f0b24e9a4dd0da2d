/** `pause`: the study waits after its running experiment. */
import type { Command } from 'commander';
import { z } from 'zod';
import { sendRequest } from './send-request';
import { handle, newCommand } from './command';
import { studyOptions, takesStudy } from '../studies/find-study';

export function pauseCommand(): Command {
  const command = takesStudy(
    newCommand({
      name: 'pause',
      examples: ['npx autoresearch pause', 'npx autoresearch pause nov21'],
    }),
  );
  return handle(command, z.object(studyOptions), (out, choice) => sendRequest(out, choice, 'pause'));
}
