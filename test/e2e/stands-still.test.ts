/**
 * Workflow tasks that fail each time: seen by `status` and `doctor`, ended by `stop --now`, gone on with by `resume`, and no reason to
 * refuse a new release. The smallest lab, everything else real.
 */
import { isAlive, type Owner } from '../../src/process/owner';
import { brokenStudyBuild, otherBuild, otherVersion } from '../production/other-build';
import { done, letGo, outcome, startTiny, trains, whole } from '../production/tiny';
import { until } from '../workflows/world';
import { Service, type StatusAnswer } from './service';

jest.setTimeout(600_000);
const TAG = 'still';
/** Each look is a process of its own. */
const LOOK_MS = 400;
let service: Service;
let today = '';
/** Of experiment 1. */
let runner: Owner;

beforeAll(async () => {
  service = await Service.create();
  service.env['AUTORESEARCH_DEVICES'] = 'cpu';
  today = service.program;
});
afterAll(() => service?.remove());

const seen = (satisfies: (status: StatusAnswer) => boolean): Promise<StatusAnswer> =>
  until(() => service.status(TAG), satisfies, 240, LOOK_MS);
const up = (...options: string[]) => service.run('up', ...service.ports, ...options, '--json');
const studyOf = async () => {
  const { checks } = JSON.parse((await service.run('doctor', '--json')).stdout) as {
    checks: { name: string; state: string; found: string; todo: string }[];
  };
  return checks.find(({ name }) => name === 'studies');
};

/** Answers an activity by hand, with what its workflow cannot read. */
async function spoil(workflowId: string): Promise<void> {
  const described = await service.temporal('workflow', 'describe', '-w', workflowId, '-o', 'json');
  const id = /"activityId": "([^"]+)"/u.exec(described)?.[1] ?? '';
  // prettier-ignore
  await service.temporal('activity', 'complete', '-w', workflowId, '--activity-id', id, '--result', '{}');
}

test('an experiment that stands still is named, with its error', async () => {
  await service.up();
  await startTiny(service, TAG, { experiments: 2, held: [1] });
  runner = await trains(service, TAG, 1);
  expect(await studyOf()).toMatchObject({ state: 'ok' });
  await service.ask('hint', 'said before', TAG);
  await spoil('study-still/exp-0001');
  const status = await seen(({ failing }) => failing !== null);
  expect(status).toMatchObject({
    failing: { workflowId: 'study-still/exp-0001', reason: expect.stringMatching(/\w/u) },
    problem: expect.stringContaining('study-still/exp-0001'),
  });
  const { stdout } = await service.run('status', TAG);
  expect(stdout).toContain('stands still');
  expect(stdout).toMatch(/stop\s+still\s+--now/u);
  expect(await studyOf()).toMatchObject({
    state: 'warning',
    found: expect.stringContaining(status.failing!.reason),
    todo: expect.stringContaining('stop still --now'),
  });
});

test('it does not hold up a new release, which names it', async () => {
  service.program = otherBuild(service.root, 'patched');
  const { code, stdout, stderr } = await up();
  expect([code, stderr]).toEqual([0, expect.stringContaining('study-still/exp-0001')]);
  expect(JSON.parse(stdout)).toMatchObject({ worker: { state: 'replaced' } });
});

test('stop --now ends it and its run; resumed, nothing is lost', async () => {
  expect(await service.ask('stop', TAG, '--now')).toMatchObject({ phase: 'stopped' });
  expect(isAlive(runner)).toBe(false);
  expect(await studyOf()).toMatchObject({ state: 'ok' });
  await service.ask('resume', TAG);
  await trains(service, TAG, 1);
  letGo(service, TAG, 1);
  expect(await outcome(service, TAG, 2)).toEqual(whole(2, [1]));
});

test('a study that stands still takes nothing, and says so; stop --now ends it', async () => {
  await seen(({ study }) => study.phase === 'paused');
  await service.ask('budget', TAG, '--hours', '7');
  service.program = brokenStudyBuild(service.root);
  const refused = await up();
  expect([refused.code, refused.stdout]).toEqual([6, expect.stringContaining('study-still')]);
  expect((await up('--force')).code).toBe(0);
  await service.run('hint', 'unheard', TAG);
  const status = await seen(({ failing }) => failing !== null);
  expect(status.failing).toMatchObject({ workflowId: 'study-still' });
  const hinted = await service.run('hint', 'unheard', TAG);
  expect([hinted.code, hinted.stderr]).toEqual([4, expect.stringContaining('stop still --now')]);
  expect(await service.ask('stop', TAG, '--now')).toMatchObject({ phase: 'stopped' });
});

test('with a build that knows it, it goes on from its ledger and takes over what people had said', async () => {
  service.program = today;
  expect((await up()).code).toBe(0);
  const { study } = await service.ask<{ study: { limits: object } }>('resume', TAG, '--experiments', '3');
  expect(study.limits).toMatchObject({ experiments: 3, hours: 7 });
  expect(await outcome(service, TAG, 3)).toEqual(whole(3, [1]));
  // Said before experiment 1 stood still, which had proposed by then; still waiting when the study did.
  const records = await done(service, TAG, 3);
  expect(records.map(({ research }) => research?.hints ?? [])).toEqual([[], [], ['said before']]);
});

test('a study does not cross a minor version: `up` names it and how to finish it', async () => {
  await seen(({ study }) => study.phase === 'paused');
  service.program = otherVersion(service.root, '0.999.0');
  const refused = await up();
  expect(refused.code).toBe(6);
  expect(JSON.parse(refused.stdout)).toMatchObject({
    error: {
      message: expect.stringMatching(/study still runs with version 0\.\d+\.\d+, and this is 0\.999\.0/u),
      todo: expect.stringMatching(/stop still.*resume still/u),
    },
  });
  const other = service.program;
  service.program = today;
  await service.ask('stop', TAG);
  await seen(({ study }) => study.phase === 'stopped');
  service.program = other;
  expect((await up()).code).toBe(0);
  await service.ask('resume', TAG, '--experiments', '4');
  expect(await outcome(service, TAG, 4)).toEqual(whole(4, [1]));
});
