import { MockActivityEnvironment } from '@temporalio/testing';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { markEnded } from '../../src/runs/ended';
import { heartbeatWhile, withHeartbeats } from '../../src/runs/heartbeat';

const STUDY = { lab: '/lab', labId: 'lab', tag: 'nov21', base: 'b'.repeat(40), workflowId: 'study' };

/** An environment that counts heartbeats, and work that ends on request. */
function open() {
  const environment = new MockActivityEnvironment();
  let beats = 0;
  environment.on('heartbeat', () => (beats += 1));
  let finish: (answer: string) => void = () => undefined;
  const work = new Promise<string>((resolve) => (finish = resolve));
  return { environment, work, beats: () => beats, finish };
}

describe('heartbeats', () => {
  beforeEach(() => jest.useFakeTimers());
  afterEach(() => jest.useRealTimers());

  test('come at once and every 10 s, until the activity is done', async () => {
    const { environment, work, beats, finish } = open();
    const done = environment.run(
      withHeartbeats(() => work),
      undefined,
    );
    expect(beats()).toBe(1);
    await jest.advanceTimersByTimeAsync(60_000);
    expect(beats()).toBe(7);
    finish('done');
    expect(await done).toBe('done');
    await jest.advanceTimersByTimeAsync(60_000);
    expect(beats()).toBe(7);
  });
});

test('a workflow that was marked as ended causes one heartbeat out of turn, for the server to cancel the activity', async () => {
  process.env['XDG_STATE_HOME'] = mkdtempSync(join(tmpdir(), 'heartbeat-'));
  const { environment, work, beats, finish } = open();
  const heard = new Promise<void>((resolve) => environment.on('heartbeat', () => beats() === 2 && resolve()));
  const done = environment.run(() => heartbeatWhile(work, { study: STUDY }));
  await environment.run(() => markEnded(STUDY));
  await heard;
  finish('done');
  await done;
  expect(beats()).toBe(2);
});
