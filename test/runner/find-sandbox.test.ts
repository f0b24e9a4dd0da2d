/** Whether there is a sandbox is found by trying; the trial's result must not depend on the host's load. */
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { findSandbox } from '../../src/runner/sandbox';
import { howToSandbox } from '../../src/runner/why-no-sandbox';

const PATH = process.env['PATH'];
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'bwrap-'));
});
afterEach(() => {
  process.env['PATH'] = PATH;
  rmSync(folder, { recursive: true });
});

/** In the place of bubblewrap. */
function bwrap(script: string, mode = 0o755): void {
  writeFileSync(join(folder, 'bwrap'), `#!/bin/sh\n${script}\n`);
  chmodSync(join(folder, 'bwrap'), mode);
  process.env['PATH'] = `${folder}${delimiter}${PATH}`;
}

test.each([
  [
    'no namespaces for this user',
    'echo "bwrap: No permissions to create a new namespace" >&2; exit 1',
    'does not run: bwrap: No permissions',
  ],
  ['an end without a word', 'exit 3', 'does not run: it ended with 3'],
])('%s: there is none, and why', async (_what, script, detail) => {
  bwrap(script);
  expect(await findSandbox()).toMatchObject({ sandbox: 'none', detail: expect.stringContaining(detail) });
});

test.each([
  ['the filter', '--seccomp', 'no seccomp filter is in force inside'],
  ['dropping capabilities', '--cap-drop', 'a process inside has capabilities'],
])('without %s there is none, and why', async (_what, flag, detail) => {
  // A plain user's bubblewrap drops all capabilities by itself.
  if (flag === '--cap-drop' && process.getuid?.() !== 0) return;
  const real = execFileSync('sh', ['-c', 'command -v bwrap'], { encoding: 'utf8' }).trim();
  bwrap(`exec python3 - "$@" <<'END'
import os, sys
at = sys.argv.index("${flag}")
os.execv("${real}", ["bwrap", *sys.argv[1:at], *sys.argv[at + 2 :]])
END`);
  expect(await findSandbox()).toMatchObject({ sandbox: 'none', detail: expect.stringContaining(detail) });
});

test('not installed: there is none', async () => {
  process.env['PATH'] = folder;
  expect(await findSandbox()).toMatchObject({
    sandbox: 'none',
    todo: expect.stringContaining('install bubblewrap'),
  });
});

test.each([
  [
    'processes',
    'echo "bwrap: Creating new namespace failed: Resource temporarily unavailable" >&2; exit 1',
    'temporarily unavailable',
  ],
  ['memory', 'echo "bwrap: Cannot allocate memory" >&2; exit 1', 'Cannot allocate memory'],
  ['patience, or memory: something kills it', 'kill -9 $$', 'SIGKILL'],
])('a host that is short of %s is not one without a sandbox', async (_what, script, message) => {
  bwrap(script);
  await expect(findSandbox()).rejects.toThrow(message);
});

/** As the NVIDIA container toolkit does it, in a namespace of our own, for a sandbox in one of its own again. */
test('with something mounted over /proc/driver/nvidia there is none, and it is not for want of installing', () => {
  const mount = 'mount -t tmpfs tmpfs';
  const find = `require(${JSON.stringify(require.resolve('../typescript-hook'))}).loadTypeScript();
    require(${JSON.stringify(require.resolve('../../src/runner/sandbox'))}).findSandbox()
      .then((found) => console.log(JSON.stringify(found)))`;
  const script = `${mount} /proc/driver && mkdir /proc/driver/nvidia && ${mount} /proc/driver/nvidia && exec "$@"`;
  const args = [
    '--user',
    '--map-root-user',
    '--mount',
    'sh',
    '-c',
    script,
    'sh',
    process.execPath,
    '-e',
    find,
  ];
  const found: unknown = JSON.parse(execFileSync('unshare', args, { encoding: 'utf8' }));
  expect(found).toMatchObject({
    sandbox: 'none',
    detail: expect.stringMatching(/mount proc/u),
    todo: expect.stringMatching(/NVIDIA container toolkit[^]*run the worker on the host/u),
  });
});

test.each([
  [
    'AppArmor, as on Ubuntu 24.04',
    'bwrap: setting up uid map: Permission denied',
    { 'sys/kernel/apparmor_restrict_unprivileged_userns': '1\n' },
    /\/etc\/apparmor\.d\/bwrap/u,
  ],
  [
    'a masked /proc, as Docker has it',
    "bwrap: Can't mount proc on /newroot/proc: Operation not permitted",
    {
      'self/mountinfo':
        '62 60 0:21 / /proc rw - proc proc rw\n70 62 0:30 / /proc/kcore rw - tmpfs tmpfs rw\n',
    },
    /over \/proc\/kcore.*systempaths=unconfined/u,
  ],
  [
    'a kernel without seccomp filters',
    'bwrap: prctl(PR_SET_SECCOMP): Invalid argument',
    {},
    /CONFIG_SECCOMP_FILTER/u,
  ],
  ['no reason that could be seen', 'bwrap: No permissions to create a new namespace', {}, /user namespaces/u],
])('what to do: %s', (_what, said, files, todo) => {
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(join(folder, 'proc', dirname(name)), { recursive: true });
    writeFileSync(join(folder, 'proc', name), text);
  }
  expect(howToSandbox(said, folder)).toMatch(todo);
});
