/** `fetch`: a whole study from a git remote into a lab. */
import type { Command } from 'commander';
import { z } from 'zod';
import { openRepository } from '../labs/lab';
import { tagSchema } from '../ledger/refs';
import { fetch } from '../ledger/share';
import { handle, newCommand } from './command';
import { rememberLab } from '../studies/known-labs';

const schema = z.object({ json: z.boolean(), remote: z.string().min(1), tag: tagSchema, lab: z.string() });

export function fetchCommand(): Command {
  const command = newCommand({
    name: 'fetch',
    examples: [
      'npx autoresearch fetch origin nov21',
      'npx autoresearch fetch git@example.org:me/lab.git nov21 --lab my-lab',
    ],
  })
    .argument('<REMOTE>', "a remote of the lab's repository, or an address")
    .argument('<TAG>', 'the study')
    .option('--lab <DIR>', 'a clone of the lab', '.');
  return handle(command, schema, async (out, { remote, tag, lab }) => {
    const git = await openRepository(lab);
    await fetch(git, remote, tag);
    await rememberLab(git.directory);
    out.answer(
      { tag, remote, lab: git.directory },
      `study ${tag} is here: see \`npx autoresearch history ${tag}\``,
    );
  });
}
