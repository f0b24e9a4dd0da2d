/** `bin/autoresearch.js` as people start it: the bundled command line and its compiled code. */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { asset } from '../../src/process/package-root';

const folder = mkdtempSync(join(tmpdir(), 'bundle-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A copy of the built package, so that the tests change no other test's. */
const copy = join(folder, 'package');
for (const name of ['package.json', 'bin', 'dist/build-id', 'dist/cli.bundle.js'])
  cpSync(asset(name), join(copy, name), { recursive: true });
symlinkSync(asset('node_modules'), join(copy, 'node_modules'));

function autoresearch(...argv: string[]) {
  const env = { ...process.env, HOME: folder, XDG_STATE_HOME: join(folder, 'state') };
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [join(copy, 'bin', 'autoresearch.js'), ...argv],
    {
      encoding: 'utf8',
      env,
    },
  );
  return { status, stdout, stderr };
}
const caches = (): string[] =>
  readdirSync(join(copy, 'dist')).filter((name) => name.startsWith('cli.bundle.js.'));

it('answers the same with and without compiled code, and with a damaged file of it', () => {
  const first = autoresearch('status', '--help');
  expect(first).toEqual({
    status: 0,
    stdout: expect.stringContaining('Usage: autoresearch status'),
    stderr: '',
  });
  expect(caches()).toHaveLength(1);
  expect(autoresearch('status', '--help')).toEqual(first);
  const file = join(copy, 'dist', caches()[0] ?? '');
  const whole = readFileSync(file);
  for (const content of [whole.subarray(0, 1000), Buffer.alloc(whole.length), Buffer.from('x')]) {
    writeFileSync(file, content);
    expect(autoresearch('status', '--help')).toEqual(first);
  }
});

it('takes no compiled code of another build', () => {
  autoresearch('list');
  writeFileSync(join(copy, 'dist', 'build-id'), 'another\n');
  const bundle = join(copy, 'dist', 'cli.bundle.js');
  const text = readFileSync(bundle, 'utf8');
  writeFileSync(bundle, text.replace('the version of this program', 'the version of that program'));
  expect(autoresearch('--help').stdout).toContain('the version of that program');
});

it('loads the part that is not bundled where a command needs it', () => {
  const file = join(folder, 'not-an-archive');
  writeFileSync(file, 'x');
  expect(autoresearch('replay', file)).toMatchObject({
    status: 3,
    stderr: expect.stringContaining('not-an-archive'),
  });
});

it('says what to do where nothing is built', () => {
  rmSync(join(copy, 'dist', 'build-id'));
  expect(autoresearch('list')).toMatchObject({ status: 7, stderr: expect.stringContaining('npm run setup') });
});
