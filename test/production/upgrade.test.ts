/** A new release takes over a running study, in the middle of a run; one that could not go on with it is not let in. */
import type { Owner } from '../../src/process/owner';
import { Service } from '../e2e/service';
import { until } from '../workflows/world';
import { otherBuild } from './other-build';
import { letGo, outcome, startTiny, trainerOf, trains, whole } from './tiny';

jest.setTimeout(400_000);
const TAG = 'upgraded';
let service: Service;
/** Programs of three builds. */
let [today, patched, careless] = ['', '', ''];
/** Of experiment 1. */
let runner: Owner;

interface Up {
  worker: { owner: { pid: number }; state: string; build: string };
}
const up = (): Promise<Up> => service.ask<Up>('up', ...service.ports);

beforeAll(async () => {
  service = await Service.create();
  service.env['AUTORESEARCH_DEVICES'] = 'cpu';
  today = service.program;
  patched = otherBuild(service.root, 'patched');
  careless = otherBuild(service.root, 'careless');
});
afterAll(() => service?.remove());

test('refuses a release without its `patched` in the middle of an experiment; worker and run continue', async () => {
  const { worker } = await up();
  await startTiny(service, TAG, { experiments: 2, held: [1, 3] });
  runner = await trains(service, TAG, 1);
  service.program = careless;
  const refused = await service.run('up', ...service.ports);
  expect([refused.code, refused.stderr]).toEqual([
    6,
    expect.stringMatching(
      /cannot continue with this one .*: study-upgraded\/exp-0001 at event \d+ \(ActivityTaskScheduled\)/u,
    ),
  ]);
  service.program = today;
  expect(await up()).toMatchObject({ worker: { state: 'running', owner: worker.owner } });
});

test('a release with `patched` takes over: nothing is lost or repeated, and all histories replay', async () => {
  expect(await trains(service, TAG, 1)).toEqual(runner);
  service.program = patched;
  expect(await up()).toMatchObject({ worker: { state: 'replaced' } });
  letGo(service, TAG, 1);
  expect(await outcome(service, TAG, 2)).toEqual(whole(2));
  expect(trainerOf(service, TAG, 1)).toEqual(runner);
  expect(await service.run('replay', TAG)).toMatchObject({ code: 0 });
});

test('refuses a downgrade while an experiment has taken the new step', async () => {
  await service.ask('budget', TAG, '--experiments', '4');
  await trains(service, TAG, 3);
  service.program = today;
  const refused = await service.run('up', ...service.ports);
  expect([refused.code, refused.stderr]).toEqual([
    6,
    expect.stringMatching(
      /exp-0003 at event \d+ \(MarkerRecorded\)[^]*`stop` the study with it and `resume` it/u,
    ),
  ]);
});

test('the old release resumes a study from its ledger after the new one has stopped it', async () => {
  service.program = patched;
  await service.ask('stop', TAG);
  letGo(service, TAG, 3);
  const stopped = (): Promise<boolean> => service.status(TAG).then(({ study }) => study.phase === 'stopped');
  await until(stopped, Boolean, 90);
  service.program = today;
  expect(await up()).toMatchObject({ worker: { state: 'replaced' } });
  await service.ask('resume', TAG);
  await service.ask('budget', TAG, '--experiments', '5');
  expect(await outcome(service, TAG, 5)).toEqual(whole(5));
});
