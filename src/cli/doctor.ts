/** `autoresearch doctor`: every prerequisite, found or not, and how to get it. */
import type { Command } from 'commander';
import { z } from 'zod';
import type { Check } from '../host/check';
import { examine } from '../host/doctor';
import { handle, newCommand } from './command';
import { EXIT_CODES } from '../studies/errors';
import { clean, colour } from './output';

const MARKS = { ok: colour.green('✓'), warning: colour.yellow('!'), missing: colour.red('✗') };

export function doctorCommand(): Command {
  const command = newCommand({
    name: 'doctor',
    details:
      'Checks every prerequisite and what runs. Changes nothing. Exits 7 if something that must be there is not.',
    examples: ['npx autoresearch doctor'],
  });
  return handle(command, z.object({}), async (out) => {
    const checks = await examine();
    const missing = checks.filter(({ state }) => state === 'missing');
    const closing =
      missing.length === 0
        ? 'Nothing that must be there is missing.'
        : colour.red(`Missing: ${missing.map(({ name }) => name).join(', ')}.`);
    out.answer({ ok: missing.length === 0, checks }, [...checks.map(line), '', closing].join('\n'));
    if (missing.length > 0) process.exitCode = EXIT_CODES.prerequisite;
  });
}

function line({ name, state, found, todo }: Check): string {
  const first = `${MARKS[state]} ${name.padEnd(20)} ${clean(found)}`;
  return todo === null ? first : `${first}\n${' '.repeat(23)}→ ${todo}`;
}
