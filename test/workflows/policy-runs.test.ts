/** A study does whatever runs its policy asks for, through a real server and worker. */
import { runSeed } from '../../src/domain/seed';
import { openStage, paused, status, end, World, type Stage } from './world';

let stage: Stage;
const worlds = new Map<string, World>();

beforeAll(async () => {
  stage = await openStage((tag) => worlds.get(tag)!, { interceptors: [require.resolve('./pairs-rule')] });
}, 120_000);
afterAll(() => stage.stop(), 120_000);

const commitOf = (number: number): string => String(number).padStart(40, 'c');

test('pairs on one seed, of the candidate and of the incumbent, whose scores grow while it stands', async () => {
  const world = new World();
  // Experiment 1 is better than the baseline, 2 and 3 are not better than that.
  world.scoreOf = (_, commit) => ({ [commitOf(0)]: 2, [commitOf(1)]: 1 })[commit] ?? 3;
  worlds.set('pairs', world);
  const study = await stage.start({ tag: 'pairs', limits: { experiments: 4 } });
  await paused(study);
  expect(world.records.map(({ decision }) => [decision.verdict, decision.score])).toEqual([
    ['keep', 2],
    ['keep', 1],
    ['discard', 3],
    ['discard', 3],
  ]);
  const seed = runSeed('pairs', 2, 1);
  expect(world.records[2]!.runs.map((run) => [run.arm, run.commit, run.seed, run.split, run.score])).toEqual([
    ['candidate', commitOf(2), seed, 'val', 3],
    ['incumbent', commitOf(1), seed, 'val', 1],
    ['incumbent', commitOf(1), seed, 'val', 1],
    ['candidate', commitOf(2), seed, 'val', 3],
  ]);
  expect(world.records.map(({ decision }) => decision.detail).slice(1)).toEqual([
    '1 scores of the incumbent before',
    '2 scores of the incumbent before',
    '4 scores of the incumbent before',
  ]);
  expect((await status(study)).incumbent).toMatchObject({ commit: commitOf(1), scores: [1, 1, 1, 1, 1, 1] });
  await end(study);
}, 120_000);

test('a candidate that crashes ends its request at once', async () => {
  const world = new World();
  world.failureOf = (number) => (number === 1 ? { reason: 'oom', message: 'no memory', tail: '' } : null);
  worlds.set('crashes', world);
  const study = await stage.start({ tag: 'crashes', limits: { experiments: 2 } });
  await paused(study);
  expect(world.records[1]).toMatchObject({ decision: { verdict: 'crash', reason: 'oom' } });
  expect(world.records[1]!.runs.map(({ arm }) => arm)).toEqual(['candidate']);
  await end(study);
}, 120_000);
