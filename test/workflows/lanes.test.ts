/** A lane that nobody serves any more: the worker was told of another device, or the GPU is gone. */
import { LANE, end, openStage, paused, until, World, type Stage } from './world';

let stage: Stage;
let world: World;

beforeAll(async () => {
  world = new World();
  stage = await openStage(() => world, { interceptors: [require.resolve('./short-waits')] });
}, 60_000);
afterAll(() => stage.stop(), 60_000);

test('a study looks for another lane, and goes on with the same experiment', async () => {
  world.lane = { queue: 'gpu-gone-0', device: 'cuda:0' };
  const opened = world.activities.openStudy.bind(world.activities);
  let times = 0;
  world.activities.openStudy = (config) => {
    times += 1;
    return opened(config);
  };
  const study = await stage.start({ limits: { experiments: 2 } });
  await until(
    () => times,
    (count) => count === 3,
  );
  expect(world.trained).toEqual([]);
  world.lane = LANE;
  expect(await paused(study)).toMatchObject({ reason: 'experiments limit: 2 of 2 done' });
  expect(world.records.map(({ number }) => number)).toEqual([0, 1]);
  await end(study);
});
