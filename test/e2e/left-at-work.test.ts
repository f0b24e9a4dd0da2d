/**
 * A worker that dies before it has heard of "stop now" cannot end its run. The next worker does, and the device is free. The smallest
 * lab, everything else real.
 */
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ExperimentRecord } from '../../src/domain/experiment';
import { isAlive, ownerOf, type Owner } from '../../src/process/owner';
import { taskStatusSchema, type TaskStatus } from '../../src/runner/task';
import { startTiny, trains } from '../production/tiny';
import { until } from '../workflows/world';
import { Service } from './service';

jest.setTimeout(240_000);
const TAG = 'left';
const ID = `study-${TAG}`;
const LOOK_MS = 400;
/** A dead worker is missed after 10 s. */
const FREE_SECONDS = 15;
let service: Service;

beforeAll(async () => {
  service = await Service.create();
  service.env['AUTORESEARCH_DEVICES'] = 'cpu';
});
afterAll(() => service?.remove());

/** Of experiment 1, one an attempt. */
function trainings(): TaskStatus[] {
  const labs = join(service.root, 'state', 'autoresearch', 'labs');
  const [labId = ''] = readdirSync(labs);
  const run = join(labs, labId, TAG, 'runs', '0001', '1');
  return readdirSync(run)
    .filter((name) => name.startsWith('train-'))
    .map((name) => taskStatusSchema.parse(JSON.parse(readFileSync(join(run, name, 'status.json'), 'utf8'))));
}

/** A process and all that it has started, the sandbox's processes too. */
function family(pid: number): Owner[] {
  const lines = execFileSync('ps', ['-eo', 'pid=,ppid='], { encoding: 'utf8' }).trim().split('\n');
  const processes = lines.map((line) => line.trim().split(/\s+/).map(Number));
  const pids = [pid];
  for (const parent of pids) {
    pids.push(...processes.flatMap(([child, ppid]) => (ppid === parent && child !== undefined ? child : [])));
  }
  return pids.map(ownerOf).filter((owner) => owner !== null);
}

const stopped = () =>
  until(
    () => service.status(TAG),
    ({ study }) => study.phase === 'stopped',
    30,
    LOOK_MS,
  );

test('stopped now while the worker is frozen, which is killed then: the next one ends the run', async () => {
  const { worker } = await service.up();
  await startTiny(service, TAG, { experiments: 2, slow: [[1, 90]] });
  await trains(service, TAG, 1);
  const [training] = trainings();
  const atWork = family(training!.owner.pid);
  // Runner, keeper, sandbox, candidate.
  expect(atWork.length).toBeGreaterThanOrEqual(4);

  process.kill(worker.owner.pid, 'SIGSTOP');
  // As the Temporal UI sends it: nobody is there to answer an update.
  // prettier-ignore
  await service.temporal('workflow', 'signal', '--workflow-id', ID, '--name', 'stop', '--input', '{"now": true}');
  process.kill(worker.owner.pid, 'SIGKILL');
  expect(atWork.every(isAlive)).toBe(true);
  await service.up();
  await until(
    () => atWork.filter(isAlive),
    ({ length }) => length === 0,
    FREE_SECONDS,
  );

  expect((await stopped()).study.spent.experiments).toBe(1);
  const { experiments } = await service.ask<{ experiments: ExperimentRecord[] }>('history', TAG);
  expect(experiments.map(({ number }) => number)).toEqual([0]);
  expect((await service.run('verify', TAG)).code).toBe(0);
});

test('resumed, the same attempt is begun anew', async () => {
  const [before] = trainings();
  await service.ask('resume', TAG);
  await trains(service, TAG, 1);
  const [again, ...others] = trainings();
  expect(others).toEqual([]);
  expect(isAlive(again!.owner)).toBe(true);
  expect(again!.owner).not.toEqual(before!.owner);
  await service.ask('stop', TAG, '--now');
  await stopped();
  expect(isAlive(again!.owner)).toBe(false);
});
