import { setTimeout as sleep } from 'node:timers/promises';
import { MockActivityEnvironment } from '@temporalio/testing';
import { beating } from '../../src/runs/heartbeat';

test('an activity beats at once and then once a second, until it is done', async () => {
  const environment = new MockActivityEnvironment();
  let beats = 0;
  environment.on('heartbeat', () => (beats += 1));
  const slow = beating(async (ms: number) => {
    await sleep(ms);
    return 'done';
  });
  expect(await environment.run(slow, 1_500)).toBe('done');
  expect(beats).toBeGreaterThanOrEqual(2);
  const after = beats;
  await sleep(1_200);
  expect(beats).toBe(after);
});
