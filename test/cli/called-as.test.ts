/** What hints call this program, by how it was called. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { packageRoot } from '../../src/process/package-root';

const program = join(packageRoot(), 'bin', 'autoresearch.js');
const folder = mkdtempSync(join(tmpdir(), 'called-'));
const link = join(folder, 'autoresearch');
symlinkSync(program, link);

/** The example of `stop --help`. */
function example(script: string, cwd: string, env: NodeJS.ProcessEnv): string {
  const clean = { ...process.env, npm_command: undefined, XDG_STATE_HOME: folder, ...env };
  const help = execFileSync(process.execPath, [script, 'stop', '--help'], {
    cwd,
    env: clean,
    encoding: 'utf8',
  });
  return /\$ (.*) stop$/mu.exec(help)?.[1] ?? help;
}

test.each([
  ['a link on PATH', link, folder, { PATH: `${folder}:${process.env['PATH'] ?? ''}` }, 'autoresearch'],
  ['a link elsewhere', link, '/', {}, link],
  ['the file, in the checkout', program, packageRoot(), {}, 'node bin/autoresearch.js'],
  ['the file, elsewhere', program, folder, {}, `node ${program}`],
  ['npx, in the checkout', program, packageRoot(), { npm_command: 'exec' }, 'npx autoresearch'],
  ['npx, elsewhere', link, '/', { npm_command: 'exec' }, link],
])('%s', (_what, script, cwd, env, expected) => {
  expect(example(script, cwd, env)).toBe(expected);
});
