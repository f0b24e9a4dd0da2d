/** Studies continue as new before a worker can no longer replay them in time, and before the server ends them for their size. */
import { EventEmitter, once } from 'node:events';
import * as messages from '../../src/workflows/messages';
import { paused, openStage, status, until, World, type RunningStudy, type Stage } from './world';

const EVENTS = 1000;
const SIGNALS = 60;

let stage: Stage;
let world: World;

beforeAll(async () => {
  stage = await openStage(() => world);
});
afterAll(() => stage.stop(), 300_000);
beforeEach(() => {
  world = new World();
});

const latest = ({ config }: RunningStudy) => stage.environment.client.workflow.getHandle(config.workflowId);

/** Lets a study do as many experiments as it now has, and one more. */
async function oneMore(study: RunningStudy): Promise<void> {
  const { spent } = await latest(study).query(messages.statusQuery);
  const experiments = spent.experiments + 1;
  await latest(study).executeUpdate(messages.adjustBudgetUpdate, { args: [{ experiments }] });
  await until(
    () => latest(study).query(messages.statusQuery),
    (now) => now.phase === 'paused' && now.spent.experiments === experiments,
  );
}

/** A study that waits, with a history that is long already. */
async function longStudy(): Promise<RunningStudy> {
  const study = await stage.start({ limits: { experiments: 1 } });
  const { handle } = study;
  await paused(study);
  while ((await handle.describe()).historyLength <= EVENTS) {
    await Promise.all(Array.from({ length: SIGNALS }, () => handle.signal('pause')));
  }
  await handle.executeUpdate(messages.resumeUpdate);
  return study;
}

test('a long history ends between two experiments, with all that is known and asked', async () => {
  const study = await longStudy();
  await study.handle.signal('idea', 'for later');
  await oneMore(study);
  const next = latest(study);
  expect((await next.describe()).historyLength).toBeLessThan(100);
  expect(await next.query(messages.statusQuery)).toMatchObject({ spent: { experiments: 2 }, kept: 2 });
  await oneMore(study);
  expect(world.records.map(({ number, taken }) => [number, taken.ideas])).toEqual([
    [0, []],
    [1, ['for later']],
    [2, []],
  ]);
  await next.signal('stop');
  await next.result();
});

test('an experiment whose end was not heard of has heard its hint: the next run does not give it again', async () => {
  const record = world.activities.record.bind(world.activities);
  const study = await stage.start({ limits: { experiments: 1 } });
  const { handle, config } = study;
  await paused(study);
  const child = stage.environment.client.workflow.getHandle(`${config.workflowId}/exp-0001`);
  await handle.signal('hint', 'wider');
  world.activities.record = async (input) => {
    const recorded = await record(input);
    // Somebody ends it in the UI just now.
    if (input.number === 1) await child.terminate();
    return recorded;
  };
  await handle.signal('adjustBudget', { experiments: 3 });
  const failed = await until(
    () => status(study),
    ({ phase, reason }) => phase === 'paused' && reason?.includes('Terminated') === true,
  );
  expect(failed).toMatchObject({ spent: { experiments: 1 }, waiting: { hints: ['wider'] } });
  const { runId } = await latest(study).describe();
  while ((await latest(study).describe()).runId === runId) {
    for (let nth = 0; nth < 20; nth++) await latest(study).signal('pause');
    // While signals come in, it cannot continue as new.
    await latest(study).query(messages.statusQuery);
  }
  await latest(study).executeUpdate(messages.resumeUpdate);
  await until(
    () => latest(study).query(messages.statusQuery),
    ({ spent }) => spent.experiments === 3,
  );
  expect(world.records.map(({ taken }) => taken.hints)).toEqual([[], ['wider'], []]);
  await latest(study).signal('stop');
});

describe('messages so large that the server would end the study after 34 of them', () => {
  const huge = 'x'.repeat(1_500_000);
  const sendThem = async (study: RunningStudy) => {
    const { handle } = study;
    for (let nth = 0; nth < 40; nth++) {
      // Some are refused whole, some for a part whose name is the load.
      if (nth % 2 === 0) await handle.signal('hint', huge);
      else await handle.signal('stop', { [huge]: true });
      // A worker hears of each before the next one comes: nothing could be done otherwise. A task that a message has overtaken has
      // failed, and no query is answered until it is done again.
      await until(
        () => status({ handle }).catch(() => null),
        (now) => now !== null,
      );
    }
  };

  test('while it is paused', async () => {
    const study = await stage.start({ limits: { experiments: 1 } });
    await paused(study);
    await study.handle.signal('hint', 'small');
    await sendThem(study);
    const now = await until(
      () => latest(study).query(messages.statusQuery),
      ({ refused }) => refused !== null,
    );
    expect(now).toMatchObject({ phase: 'paused', waiting: { hints: ['small'] } });
    expect(now.refused!.length).toBeLessThan(1000);
    await oneMore(study);
    expect(world.records.map(({ number }) => number)).toEqual([0, 1]);
    await latest(study).signal('stop');
    await latest(study).result();
  });

  test('while an experiment is under way: that is begun again', async () => {
    const gate = new EventEmitter();
    const opened = once(gate, 'open');
    world.trainingOf = async (number) => void (number === 1 && (await opened));
    const study = await stage.start({ limits: { experiments: 2 } });
    await until(() => world.trained.includes(1), Boolean);
    await sendThem(study);
    await until(() => world.cancelled.includes(1), Boolean);
    gate.emit('open');
    expect(await paused(study)).toMatchObject({ spent: { experiments: 2 } });
    expect(world.records.map(({ number }) => number)).toEqual([0, 1]);
    await latest(study).signal('stop');
    await latest(study).result();
  });
});
