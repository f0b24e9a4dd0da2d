/** `init`: a fresh lab of the user's own. */
import type { Command } from 'commander';
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { z } from 'zod';
import { initLab } from '../labs/init';
import { asset } from '../process/package-root';
import { handle, newCommand } from './command';
import { CliError } from '../studies/errors';
import { rememberLab } from '../studies/known-labs';

const schema = z.object({ json: z.boolean(), dir: z.string().min(1), data: z.string().min(1).optional() });

export function initCommand(): Command {
  const command = newCommand({
    name: 'init',
    examples: ['npx autoresearch init my-lab', 'npx autoresearch init my-lab --data ~/texts'],
  })
    .argument('<DIR>', 'a folder that is empty or not there yet')
    .option('--data <SOURCE>', '`packages` (offline), `climbmix` (downloads), or a folder of text');
  return handle(command, schema, async (out, { dir, data }) => {
    const lab = resolve(dir);
    const commit = await initLab(lab, {
      trainer: asset('trainer'),
      ...(data !== undefined && { source: sourceOf(data) }),
    });
    await rememberLab(lab);
    out.answer(
      { lab, commit, data: data ?? null },
      `made a lab at ${lab}\n  edit program.md to say what you want, then: npx autoresearch start --lab ${dir}`,
    );
  });
}

/** A folder is written into lab.yaml as an absolute path: the lab is read from elsewhere. */
function sourceOf(data: string): string {
  if (data === 'packages' || data === 'climbmix') return data;
  const folder = resolve(data);
  if (existsSync(folder)) return folder;
  throw new CliError(
    'lab',
    `there is no folder ${folder}`,
    'name a folder of text, or `packages`, or `climbmix`',
  );
}
