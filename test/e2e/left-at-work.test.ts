/**
 * A worker that dies before it has heard of "stop now" cannot end its run. The next worker does, and the device is free. The smallest
 * lab, everything else real.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import type { ExperimentRecord } from '../../src/domain/experiment';
import { holderOf } from '../../src/process/detach';
import { isAlive, type Owner } from '../../src/process/owner';
import { startTiny, trains } from '../production/tiny';
import { until } from '../workflows/world';
import { attempts } from './attempts';
import { family } from './family';
import { Service } from './service';

jest.setTimeout(500_000);
const TAG = 'left';
const LOOK_MS = 400;
const entrySchema = z.object({ name: z.string(), lock: z.string() });
/** A dead worker is missed after 30 s, on a quiet machine; what is at work would never end. */
const FREE_SECONDS = 120;
let service: Service;
/** Of experiment 1. */
let runner: Owner;

beforeAll(async () => {
  service = await Service.create();
  service.env['AUTORESEARCH_DEVICES'] = 'cpu';
});
afterAll(() => service?.remove());

const stopped = (tag = TAG) =>
  until(
    () => service.status(tag),
    ({ study }) => study.phase === 'stopped',
    120,
    LOOK_MS,
  );

/** What prepares the data of a study, with all that it has started. */
async function preparers(tag: string): Promise<Owner[]> {
  const working = join(service.root, 'state', 'autoresearch', 'working');
  const files = existsSync(working) ? readdirSync(working).filter((file) => file.endsWith('.json')) : [];
  const entries = files.map((file) =>
    entrySchema.parse(JSON.parse(readFileSync(join(working, file), 'utf8'))),
  );
  const entry = entries.find(({ name }) => name === `data for study ${tag}`);
  const holder = entry === undefined ? null : await holderOf(entry.lock);
  return holder === null ? [] : family(holder.pid);
}

/** The shell and Python. */
const prepares = (tag: string): Promise<Owner[]> =>
  until(
    () => preparers(tag),
    ({ length }) => length > 1,
  );

/** Freezes the worker, stops the study, kills the worker and begins the next one. */
async function stopNowWithoutWorker(tag: string, worker: Owner): Promise<void> {
  process.kill(worker.pid, 'SIGSTOP');
  // As the Temporal UI sends it: nobody is there to answer an update.
  // prettier-ignore
  await service.temporal('workflow', 'signal', '--workflow-id', `study-${tag}`, '--name', 'stop', '--input', '{"now": true}');
  process.kill(worker.pid, 'SIGKILL');
  await service.up();
}

const gone = (processes: Owner[], seconds: number) =>
  until(
    () => processes.filter(isAlive),
    ({ length }) => length === 0,
    seconds,
  );

test('stopped now while the worker is frozen, which is killed then: the next one ends the run', async () => {
  const { worker } = await service.up();
  await startTiny(service, TAG, { experiments: 2, held: [1] });
  runner = await trains(service, TAG, 1);
  const atWork = family(runner.pid);
  // Runner, supervisor, sandbox, candidate.
  expect(atWork.length).toBeGreaterThanOrEqual(4);

  await stopNowWithoutWorker(TAG, worker.owner);
  await gone(atWork, FREE_SECONDS);

  expect((await stopped()).study.spent.experiments).toBe(1);
  const { experiments } = await service.ask<{ experiments: ExperimentRecord[] }>('history', TAG);
  expect(experiments.map(({ number }) => number)).toEqual([0]);
  expect((await service.run('verify', TAG)).code).toBe(0);
});

test('resumed, the same attempt is begun anew', async () => {
  await service.ask('resume', TAG);
  const again = await trains(service, TAG, 1);
  expect(attempts(service, TAG, 1, 'train')).toHaveLength(1);
  expect(again).not.toEqual(runner);
  await service.ask('stop', TAG, '--now');
  await stopped();
  expect(isAlive(again)).toBe(false);
});

test('stopped now while the data is prepared: the preparer ends, with and without the worker', async () => {
  const { worker } = await service.up();
  await startTiny(service, 'data', { experiments: 1, prepares: 3600 });
  const first = await prepares('data');
  await service.ask('stop', 'data', '--now');
  await gone(first, 60);
  expect((await stopped('data')).study.spent.experiments).toBe(0);
  await service.ask('resume', 'data');
  const second = await prepares('data');
  await stopNowWithoutWorker('data', worker.owner);
  await gone(second, FREE_SECONDS);
  expect((await stopped('data')).study.spent.experiments).toBe(0);
});
