/**
 * A study that is terminated, not stopped, has saved nothing. What people had asked of it is in its closed workflow: `resume` takes it
 * over, once, and waits for what the study has left behind. The smallest lab, everything else real.
 */
import type { ExperimentRecord } from '../../src/domain/experiment';
import { done, letGo, outcome, startTiny, trains, whole } from '../production/tiny';
import { until } from '../workflows/world';
import { Service } from './service';

jest.setTimeout(400_000);
const TAG = 'terminated';
const ID = `study-${TAG}`;
/** Each look is a process of its own. */
const LOOK_MS = 400;
let service: Service;

beforeAll(async () => {
  service = await Service.create();
  service.env['AUTORESEARCH_DEVICES'] = 'cpu';
});
afterAll(() => service?.remove());

const terminate = () => service.temporal('workflow', 'terminate', '--workflow-id', ID);
const paused = (experiments: number) =>
  until(
    () => service.status(TAG),
    ({ study }) => study.phase === 'paused' && study.spent.experiments === experiments,
    180,
    LOOK_MS,
  );
const hints = (records: ExperimentRecord[]) => records.map(({ research }) => research?.hints ?? []);
const ideas = (records: ExperimentRecord[]) =>
  records.flatMap((record) => record.ideas.map(({ text }) => text));

test('in the middle of a training: what waited goes over, what was heard is not heard again', async () => {
  await service.up();
  await startTiny(service, TAG, { experiments: 1, held: [1] });
  await paused(1);
  await service.ask('hint', 'heard before', TAG);
  await service.ask('budget', TAG, '--experiments', '2');
  await trains(service, TAG, 1);
  await service.ask('hint', 'wider', TAG);
  await service.ask('ideas', TAG, '--add', 'sparse attention');
  await service.ask('budget', TAG, '--experiments', '3');
  await terminate();

  const { code, stdout, stderr } = await service.run('resume', TAG, '--json');
  letGo(service, TAG, 1);
  expect([code, stderr]).toEqual([0, expect.stringContaining('taken over from its last workflow')]);
  expect(JSON.parse(stdout)).toMatchObject({
    study: { limits: { experiments: 3 }, waiting: { ideas: ['sparse attention'] } },
  });
  expect(await outcome(service, TAG, 3)).toEqual(whole(3, [1]));
  const records = await done(service, TAG, 3);
  expect(hints(records)).toEqual([[], ['heard before'], ['wider']]);
  expect(ideas(records)).toEqual(['sparse attention']);
});

test('what no worker had heard of goes over too; a limit that is given to `resume` counts more', async () => {
  await paused(3);
  const { worker } = await service.up();
  process.kill(worker.owner.pid, 'SIGKILL');
  const signal = (name: string, input: unknown) =>
    // prettier-ignore
    service.temporal('workflow', 'signal', '--workflow-id', ID, '--name', name, '--input', JSON.stringify(input));
  await signal('hint', 'unheard');
  await signal('adjustBudget', { experiments: 30, hours: 7 });
  await terminate();

  await service.ask('resume', TAG, '--experiments', '4');
  const { study } = await paused(4);
  expect(study.limits).toMatchObject({ experiments: 4, hours: 7 });
  const records = await done(service, TAG, 4);
  expect(hints(records).slice(2)).toEqual([['wider'], ['unheard']]);
  expect(ideas(records)).toEqual(['sparse attention']);
});

test('where the server knows the workflow no more, that is said, and the study goes on from its ledger', async () => {
  await service.ask('stop', TAG);
  await until(
    () => service.status(TAG),
    ({ study }) => study.phase === 'stopped',
    60,
    LOOK_MS,
  );
  await service.temporal('workflow', 'delete', '--workflow-id', ID);
  const isGone = () =>
    service.temporal('workflow', 'describe', '--workflow-id', ID).then(
      () => false,
      () => true,
    );
  await until(isGone, Boolean, 60);
  const { code, stderr } = await service.run('resume', TAG, '--experiments', '5', '--json');
  expect([code, stderr]).toEqual([0, expect.stringContaining('the server knows no earlier workflow')]);
  expect(await outcome(service, TAG, 5)).toMatchObject({ agrees: true });
  const records = await done(service, TAG, 5);
  expect(hints(records).slice(3)).toEqual([['unheard'], []]);
});
