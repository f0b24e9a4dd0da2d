import { existsSync, readFileSync } from 'node:fs';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { isAlive, type Owner } from '../../src/process/owner';
import { asset } from '../../src/process/package-root';
import { deviceLock } from '../../src/runner/device-lock';
import type { TrainSpec } from '../../src/runner/task';
import { nextAt, Workshop } from './workshop';

jest.setTimeout(180_000);

let workshop: Workshop;
beforeAll(() => {
  workshop = new Workshop();
});
afterAll(() => workshop.close());

/** For longer than this the kernel was not waited for before; 12 s are what a driver may take to give back pinned memory. */
const LONG_MS = 12_000;

let made = 0;
/** Runs a candidate whose processes seem to hang in the kernel, because its supervisor does not look before `letGo`. */
async function hanging(candidate: string, change: Partial<TrainSpec> = {}) {
  const folder = join(workshop.folder, `slow-${made++}`);
  const file = join(folder, 'let-go');
  await mkdir(folder);
  const start = '    def end_everything(self):\n';
  const supervisor = readFileSync(asset('src', 'process', 'supervisor.py'), 'utf8');
  expect(supervisor).toContain(start);
  const wait = `        while not os.path.exists(${JSON.stringify(file)}):\n            time.sleep(0.02)\n`;
  await writeFile(join(folder, 'supervisor.py'), supervisor.replace(start, start + wait));
  const shim = `#!/bin/sh
case "$3" in
  -c) echo "$0" ;;
  */supervisor.py) shift 3; exec /usr/bin/python3 -I -S '${join(folder, 'supervisor.py')}' "$@" ;;
  *) exec /usr/bin/python3 "$@" ;;
esac
`;
  await writeFile(join(folder, 'python3'), shim);
  await chmod(join(folder, 'python3'), 0o755);
  const device = await deviceLock('cpu');
  const task = await workshop.start(workshop.trainSpec([candidate], change), {
    env: { PATH: `${folder}:${process.env['PATH']}` },
    waitFor: [device],
  });
  return { ...task, device, letGo: () => writeFile(file, '') };
}

/** The next process in line for the device: it makes a file once it has the lock. */
async function next(folder: string, device: string): Promise<{ owner: Owner; hasIt: () => boolean }> {
  const mark = join(folder, 'has-it');
  return { owner: await nextAt(device, folder, ['touch', mark]), hasIt: () => existsSync(mark) };
}

test('a submitted training is done although its processes hang; they hold the device', async () => {
  const { folder, owner, device, letGo } = await hanging('happy');
  const { failure } = await workshop.until(folder, ({ phase }) => phase === 'done');
  expect(failure).toBeNull();
  const waiting = await next(folder, device);
  while (isAlive(owner)) await sleep(20);
  // For a next one that wrongly has the lock to show it.
  await sleep(500);
  expect(waiting.hasIt()).toBe(false);
  await letGo();
  while (isAlive(waiting.owner)) await sleep(20);
  expect(waiting.hasIt()).toBe(true);
});

test('a failure waits for processes that hang, and stays one', async () => {
  const { folder, owner, letGo } = await hanging('stall', { stallSeconds: 0.5, budget: { steps: 30 } });
  await workshop.until(folder, ({ phase }) => phase === 'training');
  await sleep(LONG_MS);
  expect(isAlive(owner)).toBe(true);
  await letGo();
  const { phase, failure } = await workshop.until(folder, (status) => status.phase !== 'training');
  expect({ phase, reason: failure?.reason }).toEqual({ phase: 'done', reason: 'timeout' });
});
