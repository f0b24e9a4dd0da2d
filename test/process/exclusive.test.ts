import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { launch } from '../../src/process/detach';
import { exclusively } from '../../src/process/exclusive';

const folder = mkdtempSync(join(tmpdir(), 'autoresearch-lock-'));
afterAll(() => rmSync(folder, { recursive: true }));
let locks = 0;
const freshLock = (): string => join(folder, String(locks++), 'work.lock');

test('runs one after the other, and tells the second that it waits', async () => {
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

test('frees the lock if the work fails', async () => {
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

test('shares its lock with launch, whose death frees it', async () => {
  const lock = freshLock();
  const holder = (await launch({
    command: ['sleep', '600'],
    cwd: folder,
    env: process.env,
    log: `${lock}.log`,
    lock,
    name: 'holder',
  }))!;
  const waited = jest.fn();
  const waiting = exclusively(lock, waited, async () => 'done');
  while (waited.mock.calls.length === 0) await sleep(10);
  process.kill(holder.pid, 'SIGKILL');
  expect(await waiting).toBe('done');
});
