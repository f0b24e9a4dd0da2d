/** The scripts behind `npm start` without their prerequisites. */
import { spawnSync } from 'node:child_process';
import { asset } from '../../src/process/package-root';
import { fakePrograms, realPrograms } from './fake-programs';

function setUp(...path: string[]): { status: number | null; stderr: string } {
  return spawnSync(process.execPath, [asset('scripts', 'setup.mjs')], {
    env: { ...process.env, PATH: path.join(':') },
    encoding: 'utf8',
  });
}

test.each([
  ['no git', [realPrograms(['sh', 'env', 'python3'])], /git is not on PATH[^]*apt-get install git/u],
  ['no Python', [realPrograms(['sh', 'env', 'git'])], /python3 is not on PATH[^]*install Python 3\.11/u],
  [
    'an old Python',
    [fakePrograms({ python3: 'echo 3 9' }), realPrograms(['sh', 'env', 'git'])],
    /python3 is Python 3\.9; expected 3\.11 or newer/u,
  ],
])('%s: exits 7 and says what to install', (_, path, words) => {
  const { status, stderr } = setUp(...path);
  expect(status).toBe(7);
  expect(stderr).toMatch(words);
});
