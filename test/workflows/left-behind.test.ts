/** A run of a study that was ended from outside leaves its experiment behind: the next run waits for it, and nothing is done twice. */
import { EventEmitter, once } from 'node:events';
import type { Client } from '@temporalio/client';
import { newStudy, type StudyState } from '../../src/domain/study';
import * as messages from '../../src/workflows/messages';
import {
  end,
  paused,
  status,
  openStage,
  until,
  World,
  type RunningStudy,
  type Stage,
  type StudyOptions,
} from './world';

let stage: Stage;
let world: World;
let gate: EventEmitter;
/** How many were under way at once, at most. */
let together: { trainings: number; records: number };

beforeAll(async () => {
  stage = await openStage(() => world);
});
afterAll(() => stage.stop(), 300_000);
beforeEach(() => {
  world = new World();
  gate = new EventEmitter();
  together = { trainings: 0, records: 0 };
});

/** Makes an activity hold on for experiment 1 until the gate opens, whatever it is asked meanwhile. */
function holdOn(name: 'trainings' | 'records'): { hasBegun: () => boolean } {
  let now = 0;
  let begun = false;
  const held = async <T>(number: number, work: () => Promise<T>): Promise<T> => {
    together[name] = Math.max(together[name], ++now);
    try {
      if (number === 1 && !begun) {
        begun = true;
        await once(gate, 'open');
      }
      return await work();
    } finally {
      now--;
    }
  };
  const train = world.activities.train.bind(world.activities);
  const record = world.activities.record.bind(world.activities);
  if (name === 'trainings') world.activities.train = (input) => held(input.number, () => train(input));
  else world.activities.record = (input) => held(input.number, () => record(input));
  return { hasBegun: () => begun };
}

const startAgain = ({ config }: RunningStudy, change: StudyOptions = {}) =>
  stage.start({ tag: config.tag, limits: { experiments: 3 }, ...change });

const childOf = (client: Client, { config }: RunningStudy, number: number) =>
  client.workflow.getHandle(`${config.workflowId}/exp-000${number}`);

test('a training that has not let go yet is waited for, and begun again by its own experiment', async () => {
  const training = holdOn('trainings');
  const study = await stage.start();
  await until(() => training.hasBegun(), Boolean);
  await study.handle.terminate();
  const again = await startAgain(study);
  await until(
    () => status(again),
    ({ current }) => current === 1,
  );
  await new Promise((wake) => setTimeout(wake, 1500));
  expect(await status(again)).toMatchObject({ phase: 'running', current: 1, spent: { experiments: 1 } });
  gate.emit('open');
  await paused(again);
  expect(world.records.map(({ number }) => number)).toEqual([0, 1, 2]);
  expect(together.trainings).toBe(1);
  await end(again);
});

test('a record that has not let go yet counts, with the hint that it took in', async () => {
  const record = holdOn('records');
  const study = await stage.start({ limits: { experiments: 1 } });
  await paused(study);
  await study.handle.signal('hint', 'wider');
  await study.handle.signal('adjustBudget', { experiments: null });
  await until(() => record.hasBegun(), Boolean);
  const { waiting } = await status(study);
  expect(waiting.hints).toEqual(['wider']);
  await study.handle.terminate();
  const again = await startAgain(study, { waiting });
  await until(
    () => status(again),
    ({ current }) => current === 1,
  );
  gate.emit('open');
  await paused(again);
  expect(world.records.map(({ number, taken }) => [number, taken.hints])).toEqual([
    [0, []],
    [1, ['wider']],
    [2, []],
  ]);
  expect(world.trained).toEqual([0, 1, 1, 2]);
  await end(again);
});

test('what is said after a record whose end was not heard of waits for the next experiment', async () => {
  const record = world.activities.record.bind(world.activities);
  let ended = false;
  world.activities.record = async (input) => {
    const recorded = await record(input);
    // Somebody ends it in the UI just now.
    if (input.number === 1 && !ended) {
      ended = true;
      await childOf(stage.environment.client, study, 1).terminate();
    }
    return recorded;
  };
  const study = await stage.start({ limits: { experiments: 3 } });
  await paused(study);
  await study.handle.signal('idea', 'said since');
  await study.handle.signal('resume');
  await until(
    () => status(study),
    ({ spent }) => spent.experiments === 3,
  );
  expect(world.records.map(({ taken }) => taken.ideas)).toEqual([[], [], ['said since']]);
  await end(study);
});

test.each(['stop', 'pause'] as const)(
  'while it waits, it obeys: %s',
  async (name) => {
    const training = holdOn('trainings');
    const study = await stage.start();
    await until(() => training.hasBegun(), Boolean);
    await study.handle.terminate();
    const again = await startAgain(study);
    await until(
      () => status(again),
      ({ current }) => current === 1,
    );
    await again.handle.signal(name);
    await until(
      () => status(again),
      ({ phase }) => phase === (name === 'stop' ? 'stopped' : 'paused'),
      4,
    );
    if (name === 'pause') await again.handle.signal('stop');
    await again.handle.result();
    gate.emit('open');
    await expect(childOf(stage.environment.client, study, 1).result()).rejects.toThrow('cancelled');
  },
  60_000,
);

test('a closed run still tells what was asked of it, also what no worker had heard', async () => {
  const study = await stage.start({ limits: { experiments: 1 } });
  await paused(study);
  await study.handle.signal('hint', 'heard');
  await until(
    () => status(study),
    ({ waiting }) => waiting.hints.length === 1,
  );
  const { runId } = await study.handle.describe();
  await stage.withoutWorkers(async () => {
    await study.handle.signal('idea', 'unheard');
    await study.handle.terminate('no worker has seen the idea');
  });
  const closed = stage.environment.client.workflow.getHandle(study.config.workflowId, runId);
  expect((await closed.query(messages.statusQuery)).waiting).toEqual({
    hints: ['heard'],
    ideas: ['unheard'],
    droppedIdeas: [],
  });
});

test('what was asked before a study is started again holds, and is saved when it is stopped at once', async () => {
  const begins: StudyState = newStudy(
    { experiments: 1, gpuHours: null, hours: 7, dollars: null },
    { hints: ['deeper'], ideas: [], droppedIdeas: [] },
  );
  const study = await stage.start({ limits: { experiments: 1 } }, begins);
  expect(await paused(study)).toMatchObject({ limits: { hours: 7 }, waiting: { hints: ['deeper'] } });
  await end(study);
  expect(world.saved).toMatchObject([{ limits: { hours: 7 }, waiting: { hints: ['deeper'] } }]);
});
