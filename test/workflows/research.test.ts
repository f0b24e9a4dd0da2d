/** The loop's part in research: repairs, nothing proposed, money, hints and ideas. */
import { ApplicationFailure } from '@temporalio/common';
import { LATER_SETTINGS } from '../../src/domain/study';
import * as messages from '../../src/workflows/messages';
import { end, paused, status, openStage, until, World, type RunningStudy, type Stage } from './world';

let stage: Stage;
let world: World;

beforeAll(async () => {
  stage = await openStage(() => world);
});
afterAll(() => stage.stop(), 300_000);
beforeEach(() => {
  world = new World();
});

/** Seconds of each timer that the study has started. */
const timersOf = async ({ handle }: RunningStudy) =>
  (await handle.fetchHistory()).events?.flatMap(({ timerStartedEventAttributes: timer }) =>
    timer ? [Number(timer.startToFireTimeout?.seconds)] : [],
  );

const OOM = { reason: 'oom', message: 'out of memory', tail: 'Traceback …' } as const;

/** Each candidate of an experiment has a commit of its own. */
const commitOf = (number: number, repair: number): string => `${repair}${number}`.padStart(40, 'c');

describe('repairs', () => {
  beforeEach(() => {
    world.activities.apply = ({ number, repair }) =>
      Promise.resolve({ commit: commitOf(number, repair?.attempt ?? 0), failure: null });
  });

  test('a crash goes back to the researcher, on fresh seeds, within the same experiment', async () => {
    let crashes = 2;
    world.failureOf = (number) => (number === 1 && crashes-- > 0 ? OOM : null);
    const study = await stage.start({ limits: { experiments: 2 }, repairs: 2 });
    await paused(study);
    expect(world.proposed.map(({ repair }) => repair)).toEqual([
      null,
      { attempt: 1, commit: commitOf(1, 0), failure: OOM },
      { attempt: 2, commit: commitOf(1, 1), failure: OOM },
    ]);
    const [, record] = world.records;
    expect(record).toMatchObject({
      commit: commitOf(1, 2),
      failure: null,
      decision: { verdict: 'keep' },
      proposals: ['p1-0', 'p1-1', 'p1-2'],
      repairs: [{ commit: commitOf(1, 0) }, { commit: commitOf(1, 1) }],
    });
    expect(record?.runs.map(({ score }) => score)).toEqual([null, null, 1.99]);
    expect(new Set(record?.runs.map(({ seed }) => seed)).size).toBe(3);
    await end(study);
  });

  test('they are bounded, and the crash is the verdict', async () => {
    world.failureOf = (number) => (number === 1 ? OOM : null);
    const study = await stage.start({ limits: { experiments: 2 }, repairs: 2 });
    await paused(study);
    expect(world.proposed).toHaveLength(3);
    expect(world.records[1]).toMatchObject({ decision: { verdict: 'crash', reason: 'oom' }, failure: OOM });
    await end(study);
  });

  test('a researcher that gives up, a baseline, and a run that was killed from outside are not repaired', async () => {
    const propose = world.activities.propose.bind(world.activities);
    world.activities.propose = async (input) => ({
      ...(await propose(input)),
      gaveUp: input.repair === null ? null : 'the idea itself needs more memory',
    });
    world.failureOf = (number) => (number === 1 ? OOM : number === 2 ? { ...OOM, reason: 'lost' } : null);
    const study = await stage.start({ limits: { experiments: 3 }, repairs: 2 });
    await paused(study);
    expect(world.records.map(({ repairs, decision }) => [repairs.length, decision.reason])).toEqual([
      [0, 'baseline'],
      [0, 'oom'],
      [0, 'lost'],
    ]);
    expect(world.proposed.map(({ number }) => number)).toEqual([1, 1, 2]);
    await end(study);
  });
});

test('nothing proposed is recorded and the study goes on; after three in a row it rests, or is resumed', async () => {
  world.activities.apply = ({ number }) =>
    Promise.resolve({
      commit: String(number).padStart(40, 'c'),
      failure:
        number === 1 || number > 2 ? { reason: 'no-proposal', message: 'no idea', tail: 'no idea' } : null,
    });
  const study = await stage.start();
  const now = await paused(study);
  expect(world.records.map(({ decision }) => decision.reason)).toEqual([
    'baseline',
    'no-proposal',
    'better',
    'no-proposal',
    'no-proposal',
    'no-proposal',
  ]);
  expect(now.reason).toBe(
    'nothing was proposed 3 times in a row: see `autoresearch show 5`; it is tried again after a rest, or at `resume`',
  );
  expect(await timersOf(study)).toEqual([LATER_SETTINGS.restMinutes * 60]);
  await study.handle.executeUpdate(messages.resumeUpdate);
  expect((await paused(study)).reason).toContain('show 6');
  // A person's pause is no rest.
  await study.handle.executeUpdate(messages.pauseUpdate);
  expect((await paused(study)).reason).toBe('paused by request');
  await end(study);
});

test('a study that lacks ideas asks again by itself when it has rested', async () => {
  world.activities.apply = ({ number }) =>
    Promise.resolve({
      commit: String(number).padStart(40, 'c'),
      failure:
        number > 0 && number < 5 ? { reason: 'no-proposal', message: 'no idea', tail: 'no idea' } : null,
    });
  const study = await stage.start({ limits: { experiments: 6 }, restMinutes: 1 / 60 });
  const now = await until(
    () => study.handle.query(messages.statusQuery),
    ({ spent }) => spent.experiments === 6,
  );
  expect(now).toMatchObject({ crashed: 4, kept: 2 });
  expect(await timersOf(study)).toEqual([1, 1]);
  await end(study);
});

test('more money does not lift a pause that a person has asked for meanwhile', async () => {
  const study = await stage.start({ limits: { dollars: 1.2 } });
  world.activities.propose = async () => {
    await study.handle.signal('pause');
    throw ApplicationFailure.create({
      type: 'BudgetExhausted',
      message: 'dollars limit',
      nonRetryable: true,
    });
  };
  expect((await paused(study)).reason).toBe('paused by request');
  const more = study.handle.executeUpdate(messages.adjustBudgetUpdate, { args: [{ dollars: 2.2 }] });
  expect(await more).toMatchObject({ phase: 'paused', reason: 'paused by request' });
  await end(study);
});

test('more money that comes while an experiment finds that there was too little: that is tried again', async () => {
  const study = await stage.start({ limits: { dollars: 0.7 } });
  const propose = world.activities.propose.bind(world.activities);
  world.activities.propose = async (input) => {
    if ((input.left.dollars ?? Infinity) >= 0.5) return propose(input);
    await study.handle.executeUpdate(messages.adjustBudgetUpdate, { args: [{ dollars: 1.2 }] });
    throw ApplicationFailure.create({
      type: 'BudgetExhausted',
      message: 'dollars limit: the next call may cost $0.50',
      nonRetryable: true,
    });
  };
  await until(
    () => status(study),
    ({ spent }) => spent.experiments === 3,
  );
  expect(world.proposed.map(({ left }) => left.dollars)).toEqual([0.7, 0.7]);
  await end(study);
});

test('money that does not cover the next call pauses by the limit; raising it goes on with the same experiment', async () => {
  const propose = world.activities.propose.bind(world.activities);
  world.activities.propose = (input) => {
    if ((input.left.dollars ?? Infinity) < 0.5)
      throw ApplicationFailure.create({
        type: 'BudgetExhausted',
        message: 'dollars limit: the next call may cost $0.50',
        nonRetryable: true,
        cause: new Error('the next call may cost $0.50'),
      });
    return propose(input);
  };
  const study = await stage.start({ limits: { dollars: 1.2 } });
  const now = await paused(study);
  expect(now).toMatchObject({
    reason: 'dollars limit: the next call may cost $0.50',
    spent: { experiments: 3, dollars: 1 },
  });
  await study.handle.signal('adjustBudget', { dollars: 2.2 });
  await until(
    () => status(study),
    ({ phase, spent }) => phase === 'paused' && spent.experiments === 5,
  );
  expect(world.records.map(({ number }) => number)).toEqual([0, 1, 2, 3, 4]);
  await end(study);
});

test('a hint that a proposal has not heard waits for the next one; ideas go into the ledger with the experiment', async () => {
  const propose = world.activities.propose.bind(world.activities);
  const hinted: (() => Promise<void>)[] = [];
  world.activities.propose = async (input) => {
    await hinted.pop()?.();
    return propose(input);
  };
  const study = await stage.start({ limits: { experiments: 1 } });
  await paused(study);
  hinted.push(() => study.handle.signal('hint', 'while it thinks'));
  await study.handle.signal('idea', { text: 'sparse attention' });
  await study.handle.signal('idea', { drop: '0.7' });
  await study.handle.signal('idea', { drop: 'nonsense' });
  expect((await status(study)).refused).toBe('idea: expected the id of an idea, such as 12.1');
  await study.handle.signal('adjustBudget', { experiments: 3 });
  const now = await until(
    () => status(study),
    ({ spent }) => spent.experiments === 3,
  );
  expect(world.records.map(({ taken }) => taken)).toEqual([
    { hints: [], ideas: [], droppedIdeas: [] },
    { hints: [], ideas: ['sparse attention'], droppedIdeas: ['0.7'] },
    { hints: ['while it thinks'], ideas: [], droppedIdeas: [] },
  ]);
  expect(now.waiting).toEqual({ hints: [], ideas: [], droppedIdeas: [] });
  await end(study);
});

test('limits and hints of a study that is stopped are kept in its ledger', async () => {
  const study = await stage.start({ limits: { experiments: 1 } });
  await paused(study);
  await study.handle.signal('hint', 'for the next time');
  await study.handle.signal('adjustBudget', { hours: 3 });
  await end(study);
  expect(world.saved).toMatchObject([
    {
      limits: { experiments: 1, hours: 3 },
      waiting: { hints: ['for the next time'], ideas: [], droppedIdeas: [] },
    },
  ]);
});

test('limits that were changed and changed back are kept as they are in the end', async () => {
  const study = await stage.start({ limits: { experiments: 1 } });
  await paused(study);
  await study.handle.signal('adjustBudget', { experiments: 2 });
  await until(
    () => status(study),
    ({ phase, spent }) => phase === 'paused' && spent.experiments === 2,
  );
  // The record of experiment 1 has brought the 2 into the ledger.
  await study.handle.signal('adjustBudget', { experiments: 1 });
  await end(study);
  expect(world.saved).toMatchObject([{ limits: { experiments: 1 } }]);
});

test('a plateau is told, and what is asked for then', async () => {
  world.scoreOf = (number) => (number === 0 ? 1 : 2);
  const study = await stage.start({ limits: { experiments: 6 }, plateauAfter: 2 });
  const now = await paused(study);
  expect(now.plateau).toEqual({ since: 5, approach: 'revert' });
  await end(study);
});
