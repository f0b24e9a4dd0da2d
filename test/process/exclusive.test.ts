import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { asset } from '../../src/process/package-root';
import { exclusively } from '../../src/process/exclusive';

const folder = mkdtempSync(join(tmpdir(), 'autoresearch-lock-'));
afterAll(() => rmSync(folder, { recursive: true }));
let locks = 0;
const freshLock = (): string => join(folder, String(locks++), 'work.lock');

test('one after the other, and the second is told that it waits', async () => {
  const lock = freshLock();
  const events: string[] = [];
  const work = (name: string, isDone: () => boolean) => async (): Promise<string> => {
    events.push(`${name} begins`);
    while (!isDone()) await sleep(10);
    // Long enough for the second to begin, if it could.
    await sleep(300);
    events.push(`${name} ends`);
    return name;
  };
  const isWaitedFor = (): boolean => events.includes('second waits');
  const first = exclusively(lock, () => events.push('first waits'), work('first', isWaitedFor));
  while (events.length === 0) await sleep(10);
  const second = exclusively(
    lock,
    () => events.push('second waits'),
    work('second', () => true),
  );
  expect(await Promise.all([first, second])).toEqual(['first', 'second']);
  expect(events).toEqual(['first begins', 'second waits', 'first ends', 'second begins', 'second ends']);
});

test('work that fails frees the lock', async () => {
  const lock = freshLock();
  const failing = exclusively(
    lock,
    () => undefined,
    () => Promise.reject(new Error('no')),
  );
  await expect(failing).rejects.toThrow('no');
  const waited = jest.fn();
  await exclusively(lock, waited, async () => undefined);
  expect(waited).not.toHaveBeenCalled();
});

test('a holder that is killed frees the lock', async () => {
  const lock = freshLock();
  await exclusively(
    lock,
    () => undefined,
    async () => undefined,
  );
  const holder = spawn('python3', [asset('src', 'process', 'lock.py'), lock], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  await once(holder.stdout, 'data');
  const waited = jest.fn();
  const waiting = exclusively(lock, waited, async () => 'done');
  while (waited.mock.calls.length === 0) await sleep(10);
  // pyenv's python3 is a shim that becomes the interpreter: the pid stays.
  holder.kill('SIGKILL');
  expect(await waiting).toBe('done');
});
