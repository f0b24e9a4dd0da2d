/** What is cancelled leaves nothing at work, also where its activity cannot see to that: the study ends it before it ends. */
import { Context } from '@temporalio/activity';
import * as messages from '../../src/workflows/messages';
import { inPhase, openStage, paused, until, World, type RunningStudy, type Stage } from './world';

let stage: Stage;
let world: World;
/** What the world did, in order. */
let done: string[];

beforeAll(async () => {
  stage = await openStage(() => world, { interceptors: [require.resolve('./quick-trouble')] });
});
afterAll(() => stage.stop(), 300_000);
beforeEach(() => {
  world = new World();
  done = [];
  world.activities.endWork = ({ experiment }) => {
    done.push(`ended ${experiment}`);
    return Promise.resolve();
  };
});

const stopNow = ({ handle }: RunningStudy) =>
  handle.executeUpdate(messages.stopUpdate, { args: [{ now: true }] });
const childOf = ({ config }: RunningStudy) =>
  stage.environment.client.workflow.getHandle(`${config.workflowId}/exp-0001`);

/** Experiment 1 trains until its activity hears that it is cancelled. */
function hang(): void {
  const train = world.activities.train.bind(world.activities);
  world.hangAt(1);
  world.activities.train = async (input) => {
    try {
      return await train(input);
    } catch (error) {
      done.push('let go');
      throw error;
    }
  };
}

/** Experiment 1 trains on a worker that is never heard of again. */
function loseWorker(): void {
  const train = world.activities.train.bind(world.activities);
  world.activities.train = async (input) => {
    if (input.number !== 1) return train(input);
    world.trained.push(1);
    return Context.current().cancelled;
  };
}

const trains = () => until(() => world.trained.includes(1), Boolean);

test('stopped now: the host stops its work at once, and the study ends after its activity', async () => {
  hang();
  const study = await stage.start();
  await trains();
  await stopNow(study);
  expect(await study.handle.result()).toMatchObject({ phase: 'stopped', spent: { experiments: 1 } });
  expect(done.toSorted()).toEqual(['ended 1', 'let go']);
});

test('stopped now when the worker is gone: an end like any other', async () => {
  loseWorker();
  const study = await stage.start();
  await trains();
  await stopNow(study);
  expect(await study.handle.result()).toMatchObject({ phase: 'stopped', reason: null });
  expect(done).toEqual(['ended 1']);
  expect((await childOf(study).describe()).status.name).toBe('CANCELLED');
  expect(world.records.map(({ number }) => number)).toEqual([0]);
});

test('terminated when the worker is gone: its experiment sees to it', async () => {
  loseWorker();
  const study = await stage.start();
  await trains();
  await study.handle.terminate();
  await expect(childOf(study).result()).rejects.toThrow('cancelled');
  expect(done).toEqual(['ended 1']);
});

test('cancelled in the UI, the study or its experiment alone', async () => {
  hang();
  const study = await stage.start();
  await trains();
  await childOf(study).cancel();
  await paused(study);
  expect(done.toSorted()).toEqual(['ended 1', 'let go']);
  world.trained.pop();
  await study.handle.executeUpdate(messages.resumeUpdate);
  await trains();
  await study.handle.cancel();
  await expect(study.handle.result()).rejects.toThrow('cancelled');
  expect(done.toSorted()).toEqual(['ended 1', 'ended 1', 'let go', 'let go']);
});

test('an experiment that was not cancelled has nothing to end', async () => {
  const study = await stage.start({ limits: { experiments: 2 } });
  await paused(study);
  await study.handle.signal('stop');
  await study.handle.result();
  expect(done).toEqual([]);
});

test.each(['beats', 'is lost'])('stopped now while it opens, and its worker %s', async (how) => {
  let begun = false;
  world.activities.openStudy = async () => {
    begun = true;
    const beat = setInterval(() => how === 'beats' && Context.current().heartbeat(), 200);
    try {
      return await Context.current().cancelled;
    } finally {
      clearInterval(beat);
      if (Context.current().cancellationDetails?.cancelRequested === true) done.push('let go');
    }
  };
  const study = await stage.start();
  await until(() => begun, Boolean);
  expect(await stopNow(study)).toMatchObject({ phase: 'stopping' });
  expect(await study.handle.result()).toMatchObject({ phase: 'stopped', reason: null });
  expect(done.toSorted()).toEqual(how === 'beats' ? ['ended null', 'let go'] : ['ended null']);
});

test('what cannot be ended holds the study up for a while only; it is told meanwhile', async () => {
  hang();
  let tried = 0;
  world.activities.endWork = () =>
    Promise.reject(new Error(`process 7 hangs in the kernel, look ${++tried}`));
  const study = await stage.start();
  await trains();
  await stopNow(study);
  expect(await study.handle.result()).toMatchObject({ phase: 'stopped', reason: null });
  expect(tried).toBe(10);
});

test('no worker there: the first that comes back ends it, and then the study ends', async () => {
  hang();
  const study = await stage.start();
  await trains();
  await stage.withoutWorkers(async () => {
    await study.handle.signal('stop', { now: true });
    expect(done).not.toContain('ended 1');
  });
  await study.handle.result();
  expect(done).toContain('ended 1');
  expect(await inPhase(study, 'stopped')).toMatchObject({ spent: { experiments: 1 } });
});
