import { spawn } from 'node:child_process';
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Readable } from 'node:stream';
import { holderOf } from '../../src/process/detach';
import { asset } from '../../src/process/package-root';
import { stateRoot } from '../../src/process/paths';
import { deviceLock } from '../../src/runner/device-lock';

const root = mkdtempSync(join(tmpdir(), 'devices-'));
chmodSync(root, 0o755);
afterAll(() => rmSync(root, { recursive: true }));

test('a GPU has one lock for the host, the CPU one for each installation', async () => {
  const shared = join(root, 'shared');
  expect(await deviceLock('cuda:0', shared)).toBe(await deviceLock('cuda:0', shared));
  expect(dirname(await deviceLock('cuda:0', shared))).toBe(shared);
  expect(await deviceLock('cuda:1', shared)).not.toBe(await deviceLock('cuda:0', shared));
  expect(statSync(shared).mode & 0o7777).toBe(0o1777);
  expect(await deviceLock('cpu', shared)).toBe(join(stateRoot(), 'devices', 'cpu.lock'));
});

test('a shared folder that was left half made is finished', async () => {
  const half = join(root, 'half');
  mkdirSync(half, { mode: 0o755 });
  expect(dirname(await deviceLock('cuda:0', half))).toBe(half);
  expect(statSync(half).mode & 0o7777).toBe(0o1777);
});

test('what is no folder is not taken for one', async () => {
  symlinkSync(root, join(root, 'link'));
  await expect(deviceLock('cuda:0', join(root, 'link'))).rejects.toThrow(/must be a folder with mode 1777/);
  expect(statSync(root).mode & 0o7777).toBe(0o755);
});

/** Holds a lock as a user until it is killed. @returns its output so far */
function hold(user: number, lock: string, wait: string) {
  const id = ['setpriv', `--reuid=${user}`, `--regid=${user}`, '--clear-groups'];
  const command = ['sleep', '60'];
  const task = JSON.stringify({
    lock,
    name: `of ${user}`,
    wait: [wait],
    queued: null,
    adopt: false,
    command,
  });
  const child = spawn(
    id[0]!,
    [...id.slice(1), '/usr/bin/python3', '-I', '-S', asset('src', 'process', 'lock-and-exec.py'), task],
    {
      stdio: ['ignore', 'inherit', 'inherit', 'pipe'],
    },
  );
  let said = '';
  const report = child.stdio[3] as Readable;
  report.setEncoding('utf8').on('data', (text: string) => (said += text));
  return { child, said: () => said, closed: () => report.closed };
}

const until = async (condition: () => boolean): Promise<void> => {
  for (let waited = 0; !condition(); waited++) {
    if (waited > 3_000) throw new Error('waited for a minute in vain');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
};

// Only root can be two users.
const asRoot = process.getuid?.() === 0 ? describe : describe.skip;

asRoot('two users', () => {
  it('have no folder of locks that belongs to one of them', async () => {
    const owned = join(root, 'private');
    mkdirSync(owned, { mode: 0o755 });
    chownSync(owned, 65_534, 65_534);
    await expect(deviceLock('cuda:0', owned)).rejects.toThrow(/must be a folder with mode 1777/);
    expect(statSync(owned).mode & 0o7777).toBe(0o755);
  });

  it('wait for each other', async () => {
    const shared = join(root, 'of-two');
    const lock = await deviceLock('cuda:0', shared);
    const own = [1, 2].map((user) => {
      const folder = join(root, `user-${user}`);
      mkdirSync(folder, { mode: 0o777 });
      chmodSync(folder, 0o777);
      return join(folder, 'lock');
    });
    const first = hold(65_534, own[0]!, lock);
    await until(first.closed);
    expect(first.said()).toBe('held\nlocked\n');
    const second = hold(65_533, own[1]!, lock);
    await until(() => second.said().includes('queued'));
    expect((await holderOf(lock))?.name).toBe('of 65534');
    first.child.kill('SIGKILL');
    await until(second.closed);
    expect((await holderOf(lock))?.name).toBe('of 65533');
    second.child.kill('SIGKILL');
  });
});
