/** `push`: a whole study to a git remote; plain `git push` carries only its branches. */
import type { Command } from 'commander';
import { z } from 'zod';
import { push } from '../ledger/share';
import { handle, newCommand } from './command';
import { findStudy, studyOptions, takesStudy } from '../studies/find-study';

const schema = z.object({ ...studyOptions, remote: z.string().min(1) });

export function pushCommand(): Command {
  const command = takesStudy(
    newCommand({
      name: 'push',
      examples: ['npx autoresearch push origin', 'npx autoresearch push git@example.org:me/lab.git nov21'],
    }).argument('<REMOTE>', "a remote of the lab's repository, or an address"),
  );
  return handle(command, schema, async (out, { remote, ...choice }) => {
    const { git, config } = await findStudy(choice);
    await push(git, remote, config.tag);
    out.answer({ tag: config.tag, remote, lab: config.lab }, `study ${config.tag} is at ${remote}`);
  });
}
