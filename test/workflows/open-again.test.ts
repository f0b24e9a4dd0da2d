/** What a study was opened with may be gone: nobody serves its lane any more, or the cache with its data was cleaned. */
import { ApplicationFailure } from '@temporalio/common';
import { LANE, end, openStage, paused, until, World, type Stage } from './world';

let stage: Stage;
let world: World;

beforeAll(async () => {
  stage = await openStage(() => world, { interceptors: [require.resolve('./short-waits')] });
});
afterAll(() => stage.stop(), 300_000);
beforeEach(() => {
  world = new World();
});

/** How often the study was opened so far. */
function countOpenings(): () => number {
  const open = world.activities.openStudy.bind(world.activities);
  let times = 0;
  world.activities.openStudy = (config) => {
    times += 1;
    return open(config);
  };
  return () => times;
}

test('a study looks for another lane, and goes on with the same experiment', async () => {
  world.lane = { queue: 'gpu-gone-0', device: 'cuda:0' };
  const openings = countOpenings();
  const study = await stage.start({ limits: { experiments: 2 } });
  await until(openings, (count) => count === 3);
  expect(world.trained).toEqual([]);
  world.lane = LANE;
  expect(await paused(study)).toMatchObject({ reason: 'experiments limit: 2 of 2 done' });
  expect(world.records.map(({ number }) => number)).toEqual([0, 1]);
  await end(study);
});

test('the data of a study is prepared again, for the same experiment', async () => {
  const openings = countOpenings();
  const train = world.activities.train.bind(world.activities);
  let isThere = false;
  world.activities.train = async (input) => {
    if (input.number === 0 || isThere) return train(input);
    isThere = true;
    throw ApplicationFailure.nonRetryable('the data of the study is gone', 'DataGone');
  };
  const study = await stage.start({ limits: { experiments: 2 } });
  expect(await paused(study)).toMatchObject({ reason: 'experiments limit: 2 of 2 done' });
  expect(openings()).toBe(2);
  expect(world.records.map(({ number }) => number)).toEqual([0, 1]);
  await end(study);
});

test('a study that is stopped before its first task is not opened at all', async () => {
  const openings = countOpenings();
  let study: Awaited<ReturnType<Stage['start']>>;
  await stage.withoutWorkers(async () => {
    study = await stage.start();
    await study.handle.signal('stop', { now: true });
  });
  expect(await study!.handle.result()).toMatchObject({ phase: 'stopped' });
  expect(openings()).toBe(0);
});
