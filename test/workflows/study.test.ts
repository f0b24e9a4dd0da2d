import { EventEmitter, once } from 'node:events';
import { readFileSync } from 'node:fs';
import { Worker } from '@temporalio/worker';
import { WorkflowUpdateFailedError } from '@temporalio/client';
import { bundleWorkflowCode } from '@temporalio/worker';
import { runSeed } from '../../src/domain/seed';
import { asset } from '../../src/process/package-root';
import { SCORE } from '../../src/temporal/search-attributes';
import * as messages from '../../src/workflows/messages';
import { end, paused, status, openStage, until, World, type Stage } from './world';

let stage: Stage;
let world: World;

beforeAll(async () => {
  stage = await openStage(() => world);
});
afterAll(() => stage.stop(), 300_000);
beforeEach(() => {
  world = new World();
});

test('a limit pauses with its reason, raising it goes on at once, stop completes', async () => {
  world.scoreOf = (number) => [2, 2.5, 1.5, 1.4][number] ?? 3;
  const study = await stage.start({ limits: { experiments: 2 } });
  const first = await paused(study);
  expect(first).toMatchObject({ reason: 'experiments limit: 2 of 2 done', kept: 1, discarded: 1 });

  // As the Temporal UI and the temporal CLI would send it: plain JSON, by name.
  await study.handle.signal('adjustBudget', { experiments: 4 });
  const second = await until(
    () => status(study),
    (now) => now.spent.experiments === 4 && now.phase === 'paused',
  );
  expect(second.line).toBe(
    'Runs: 4 · 3 kept · 1 discarded · 0 crashed · best 1.4000 (−30.0 % vs baseline) at #3',
  );
  await study.handle.signal('stop');
  expect(await study.handle.result()).toMatchObject({ phase: 'stopped', incumbent: { experiment: 3 } });
  expect(world.records.map((record) => record.decision.verdict)).toEqual(['keep', 'discard', 'keep', 'keep']);
});

test('each candidate builds on the incumbent of its time, on seeds that the lab chose', async () => {
  world.scoreOf = (number) => [2, 2.5, 1.5, 1.6][number] ?? 3;
  const study = await stage.start({ limits: { experiments: 4 } });
  await paused(study);
  expect(world.proposed.map((asked) => asked.incumbent.at(-1))).toEqual(['0', '0', '2']);
  expect(world.records.map((record) => record.runs[0]?.seed)).toEqual(
    [0, 1, 2, 3].map((number) => runSeed(study.config.tag, number, 1)),
  );
  await study.handle.signal('stop');
});

test('every activity has a heartbeat timeout, so that another worker gets the work of one that died', async () => {
  const study = await stage.start({ limits: { experiments: 2 } });
  await paused(study);
  await study.handle.signal('stop');
  await study.handle.result();
  const { workflow } = stage.environment.client;
  const ids = ['', '/exp-0000', '/exp-0001'].map((suffix) => study.config.workflowId + suffix);
  const histories = await Promise.all(ids.map((id) => workflow.getHandle(id).fetchHistory()));
  const beats = histories
    .flatMap(({ events }) => events ?? [])
    .flatMap(({ activityTaskScheduledEventAttributes: task }) =>
      task ? [[task.activityType?.name, Number(task.heartbeatTimeout?.seconds)]] : [],
    );
  expect(new Map(beats as [string, number][])).toEqual(
    // Asking a researcher twice costs money: a worker that only stalls gets more time there.
    new Map([
      ...['openStudy', 'apply', 'train', 'evaluate', 'record', 'save'].map((name) => [name, 30] as const),
      ['propose', 60],
    ]),
  );
});

test('bad requests: an update is refused with the reason, a signal is told by status, nothing else changes', async () => {
  const study = await stage.start({ limits: { experiments: 1 } });
  await paused(study);
  const update = study.handle.executeUpdate(messages.adjustBudgetUpdate, { args: [{ experiments: -1 }] });
  const refusal = await update.then(
    () => null,
    (error: unknown) => error,
  );
  expect(refusal).toBeInstanceOf(WorkflowUpdateFailedError);
  expect((refusal as Error).cause).toMatchObject({
    message: 'adjustBudget: experiments: expected more than 0',
  });
  await study.handle.signal('adjustBudget', { hours: 'many' });
  await study.handle.signal('stop', { when: 'later' });
  const now = await until(
    () => status(study),
    ({ refused }) => refused?.startsWith('stop') ?? false,
  );
  expect(now).toMatchObject({ phase: 'paused', limits: { experiments: 1, gpuHours: null, hours: null } });
  // Once it is said well, it is no news any more.
  await study.handle.signal('adjustBudget', { hours: 3 });
  expect(
    await until(
      () => status(study),
      ({ limits }) => limits.hours === 3,
    ),
  ).toMatchObject({ refused: null });
  await study.handle.executeUpdate(messages.stopUpdate, { args: [{}] });
  await study.handle.result();
});

test('stop lets the running experiment end; stop now ends it, without a record', async () => {
  world.hangAt(1);
  const study = await stage.start();
  await until(() => world.trained.includes(1), Boolean);
  expect(await study.handle.executeUpdate(messages.stopUpdate, { args: [{}] })).toMatchObject({
    phase: 'stopping',
    current: 1,
  });
  await study.handle.executeUpdate(messages.stopUpdate, { args: [{ now: true }] });
  expect(await study.handle.result()).toMatchObject({ phase: 'stopped', spent: { experiments: 1 } });
  expect(world.cancelled).toEqual([1]);
  expect(world.records).toHaveLength(1);

  // Started again from the ledger: the same number, the same seed.
  world.trainingOf = () => Promise.resolve();
  const again = await stage.start({ tag: study.config.tag, limits: { experiments: 2 } });
  await paused(again);
  expect(world.records.map((record) => record.number)).toEqual([0, 1]);
  expect(world.records[1]?.runs[0]?.seed).toBe(runSeed(study.config.tag, 1, 1));
  await again.handle.signal('stop');
});

test('cancelling the workflow in the UI ends the training too', async () => {
  world.hangAt(0);
  const study = await stage.start();
  await until(() => world.trained.includes(0), Boolean);
  await study.handle.cancel();
  await expect(study.handle.result()).rejects.toThrow('cancelled');
  expect(world.cancelled).toEqual([0]);
  expect(world.records).toHaveLength(0);
});

test('pause waits after the running experiment, resume goes on', async () => {
  const gate = new EventEmitter();
  world.trainingOf = async (number) => void (number === 1 && (await once(gate, 'open')));
  const study = await stage.start({ limits: { experiments: 3 } });
  await until(() => world.trained.includes(1), Boolean);
  await study.handle.signal('pause');
  expect(
    await until(
      () => status(study),
      (now) => now.phase !== 'running',
    ),
  ).toMatchObject({ phase: 'pausing', current: 1 });
  gate.emit('open');
  expect(await paused(study)).toMatchObject({ reason: 'paused by request', spent: { experiments: 2 } });
  await study.handle.signal('resume');
  await until(
    () => status(study),
    (now) => now.spent.experiments === 3,
  );
  await study.handle.signal('stop');
});

test('a candidate’s failure is a verdict; the study goes on', async () => {
  world.failureOf = (number) =>
    number === 1 ? { reason: 'oom', message: 'CUDA out of memory', tail: 'Traceback …' } : null;
  const study = await stage.start({ limits: { experiments: 3 } });
  expect(await paused(study)).toMatchObject({ kept: 2, crashed: 1 });
  expect(world.records[1]).toMatchObject({
    decision: { verdict: 'crash', reason: 'oom' },
    failure: { tail: 'Traceback …' },
  });
  await study.handle.signal('stop');
});

test('our own trouble pauses the study with its reason; resume tries the same experiment again', async () => {
  world.proposeTrouble = 'the tpe researcher proposed nothing';
  const study = await stage.start({ limits: { experiments: 2 } });
  expect((await paused(study)).reason).toContain(
    'experiment 1 could not be done: the tpe researcher proposed nothing',
  );
  world.proposeTrouble = null;
  await study.handle.executeUpdate(messages.resumeUpdate);
  await until(
    () => status(study),
    (now) => now.spent.experiments === 2,
  );
  expect(world.records.map((record) => record.number)).toEqual([0, 1]);
  await study.handle.signal('stop');
});

describe('a submission that the host has lost', () => {
  test('is trained again from the same seed, within the same experiment', async () => {
    world.submissionsToLose.set(1, 2);
    const seeds: number[] = [];
    const train = world.activities.train.bind(world.activities);
    world.activities.train = (input) => {
      if (input.number === 1) seeds.push(input.seed);
      return train(input);
    };
    const study = await stage.start({ limits: { experiments: 2 } });
    expect(await paused(study)).toMatchObject({ reason: 'experiments limit: 2 of 2 done', kept: 2 });
    const seed = runSeed(study.config.tag, 1, 1);
    expect(seeds).toEqual([seed, seed, seed]);
    expect(world.records[1]?.runs).toHaveLength(1);
    await end(study);
  });

  test('again and again pauses the study with its reason', async () => {
    world.submissionsToLose.set(1, 3);
    const study = await stage.start({ limits: { experiments: 2 } });
    expect((await paused(study)).reason).toContain('experiment 1 could not be done: no submission of it');
    expect(world.trained).toEqual([0, 1, 1, 1]);
    await study.handle.executeUpdate(messages.resumeUpdate);
    await until(
      () => status(study),
      (now) => now.spent.experiments === 2,
    );
    await end(study);
  });
});

test('a lab that cannot be opened pauses the study; once it is mended, resume goes on', async () => {
  world.openTrouble = 'the lab is gone';
  const study = await stage.start({ limits: { experiments: 1 } });
  expect((await paused(study)).reason).toContain('the study could not be opened: the lab is gone');
  world.openTrouble = null;
  await study.handle.signal('resume');
  expect(
    await until(
      () => status(study),
      (now) => now.spent.experiments === 1,
    ),
  ).toMatchObject({ kept: 1 });
  await study.handle.signal('stop');
});

test('hints go to the next proposal, once', async () => {
  const study = await stage.start({ limits: { experiments: 1 } });
  await paused(study);
  await study.handle.signal('hint', { text: 'try a smaller batch' });
  await study.handle.executeUpdate(messages.hintUpdate, { args: ['and a higher rate'] });
  await study.handle.signal('adjustBudget', { experiments: 3 });
  await until(
    () => status(study),
    (now) => now.spent.experiments === 3,
  );
  expect(world.proposed.map((asked) => asked.waiting.hints)).toEqual([
    ['try a smaller batch', 'and a higher rate'],
    [],
  ]);
  await study.handle.signal('stop');
});

test('the list of workflows is the list of experiments', async () => {
  const study = await stage.start({ limits: { experiments: 3 } });
  await paused(study);
  await study.handle.signal('stop');
  const query = `AutoresearchStudy = '${study.config.tag}' AND AutoresearchVerdict = 'keep' AND AutoresearchScore < 1.995`;
  const found = await until(
    async () => {
      const ids: string[] = [];
      for await (const workflow of stage.environment.client.workflow.list({ query }))
        ids.push(workflow.workflowId);
      return ids.toSorted();
    },
    (ids) => ids.length === 2,
  );
  expect(found).toEqual([`study-${study.config.tag}/exp-0001`, `study-${study.config.tag}/exp-0002`]);
});

test('the queries that the docs give are ones that the server takes', async () => {
  const docs = ['README.md', 'docs/temporal-ui.md'].map((name) => readFileSync(asset(name), 'utf8')).join('');
  const queries = [...docs.matchAll(/`((?:Autoresearch\w+|WorkflowType) = "[^`]*)`/gu)].map(
    ([, query]) => query!,
  );
  expect(queries.length).toBeGreaterThan(4);
  for (const query of queries) {
    const matching = stage.environment.client.workflow.list({ query });
    expect([query, await matching[Symbol.asyncIterator]().next()]).toMatchObject([query, {}]);
  }
});

test('the list of studies has the best score of each', async () => {
  world.scoreOf = (number) => [2, 2.5, 1.5][number] ?? 3;
  const study = await stage.start({ limits: { experiments: 3 } });
  await paused(study);
  const { typedSearchAttributes } = await study.handle.describe();
  expect(typedSearchAttributes.get(SCORE)).toBe(1.5);
  await study.handle.signal('stop');
});

test('histories replay, and one that was tampered with does not', async () => {
  const study = await stage.start({ limits: { experiments: 2 } });
  await paused(study);
  await study.handle.signal('stop');
  await study.handle.result();
  const workflowBundle = await bundleWorkflowCode({ workflowsPath: require.resolve('../../src/workflows') });
  for (const id of [study.config.workflowId, `${study.config.workflowId}/exp-0001`]) {
    const history = await stage.environment.client.workflow.getHandle(id).fetchHistory();
    await Worker.runReplayHistory({ workflowBundle }, history, id);
    const scheduled = history.events?.find(
      (event) => event.activityTaskScheduledEventAttributes?.activityType?.name,
    );
    scheduled!.activityTaskScheduledEventAttributes!.activityType!.name = 'somethingElse';
    await expect(Worker.runReplayHistory({ workflowBundle }, history, id)).rejects.toThrow(
      /[Nn]ondeterminism/,
    );
  }
});
