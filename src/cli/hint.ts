/** `hint`: a thought for the next proposal. */
import type { Command } from 'commander';
import { z } from 'zod';
import { sendRequest } from './send-request';
import { handle, newCommand } from './command';
import { studyOptions, takesStudy } from '../studies/find-study';

const schema = z.object({ ...studyOptions, text: z.string().trim().min(1, 'expected a text') });

export function hintCommand(): Command {
  const command = takesStudy(
    newCommand({
      name: 'hint',
      examples: ['npx autoresearch hint "try fewer heads, each wider"'],
    }).argument('<TEXT>', 'at most 2,000 characters'),
  );
  return handle(command, schema, (out, { text, ...choice }) => sendRequest(out, choice, 'hint', text));
}
