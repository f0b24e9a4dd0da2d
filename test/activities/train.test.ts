import { ActivityCancellationDetails, CancelledFailure } from '@temporalio/common';
import { MockActivityEnvironment } from '@temporalio/testing';
import { EventEmitter, once } from 'node:events';
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createEndWork } from '../../src/activities/end-work';
import { createEvaluate } from '../../src/activities/evaluate';
import type { DeviceActivities } from '../../src/activities/interface';
import type { Progress, TrainInput } from '../../src/domain/run';
import { createTrain } from '../../src/activities/train';
import { runFolder } from '../../src/runs/attempts';
import type { RunResult } from '../../src/domain/experiment';
import type { ComparableRuns, SeededRun } from '../../src/domain/seed';
import { hashTree } from '../../src/labs/export';
import { ensureInventory } from '../../src/runner/inventory';
import { holderOf } from '../../src/process/detach';
import { readJson } from '../../src/process/json-file';
import { registered } from '../../src/process/register';
import { isAlive, ownerOf, type Owner } from '../../src/process/owner';
import { studyState } from '../../src/process/paths';
import { deviceLock } from '../../src/runner/device-lock';
import { takeDown } from '../../src/host/down';
import { taskStatusSchema, type TaskStatus } from '../../src/runner/task';
import { labOf } from './lab';
import { holdElsewhere } from './other-host';
import { CANDIDATE, pidsOf, processesWith, Workshop } from '../runner/workshop';

jest.setTimeout(180_000);

let workshop: Workshop;
beforeAll(() => {
  workshop = new Workshop();
});
afterAll(() => workshop.close());

const MACHINE = { device: 'test × 2', torch: '2.11' };

/** 0 is the baseline's. */
let number = 1;

function input(change: Partial<TrainInput> = {}): TrainInput {
  const study = { tag: 'nov21', workflowId: 'study-nov21', lab: '/lab', labId: 'abcd1234', base: 'base' };
  return {
    study,
    number: number++,
    run: 1,
    commit: 'c0ffee',
    seed: 7,
    split: 'val',
    budget: { steps: 20 },
    device: 'cpu',
    class: { ...MACHINE, lab: '0', data: '0' },
    ...change,
  };
}

const SCORE = `import json, sys; a = dict(zip(sys.argv[1::2], sys.argv[2::2])); json.dump({"value": len(open(a["--weights"]).read()), "tokens": 1, "bytes": 2, "seconds": 0.5, "parameters": 3}, open(a["--out"], "w"))`;

function dependencies(candidate: string[], score: string[] = ['python', '-c', SCORE], caps: object = {}) {
  const lab = labOf(candidate, score, caps);
  return {
    exportTree: async (_study: unknown, _commit: string, folder: string) => {
      if (!existsSync(folder)) cpSync(workshop.tree, folder, { recursive: true });
      return hashTree(folder);
    },
    resolveRun: async () => {
      await ensureInventory('/usr/bin/python3');
      return { python: '/usr/bin/python3', data: workshop.data, lab, machine: MACHINE };
    },
    runner: workshop.runner,
    comparableRuns: (): Promise<ComparableRuns> => Promise.resolve({ own: [], parent: [] }),
    baselineRun: () => Promise.resolve(null),
  };
}

/** An activity in the hands of one worker, of the workflow `runId`. */
function activity(runId = 'a workflow') {
  const environment = new MockActivityEnvironment({ workflowExecution: { workflowId: 'experiment', runId } });
  const beats: Progress[] = [];
  environment.on('heartbeat', (progress: Progress) => beats.push(progress));
  const cancel = (why: 'cancelRequested' | 'workerShutdown' | 'timedOut') =>
    environment.cancel('CANCELLED', new ActivityCancellationDetails({ [why]: true }));
  return { environment, beats, cancel };
}

type Train = DeviceActivities['train'];

const train = (of: TrainInput, candidate: string[], { environment } = activity()): Promise<RunResult> =>
  environment.run<[TrainInput], RunResult, Train>(createTrain(dependencies(candidate)), of);

async function statusOf(of: TrainInput, attempt = 1): Promise<TaskStatus | null> {
  return readJson(join(runFolder(of), `train-${attempt}`, 'status.json'), taskStatusSchema);
}

async function whenTraining(of: TrainInput, attempt = 1): Promise<Owner> {
  for (;;) {
    const status = await statusOf(of, attempt);
    if (status !== null && status.step > 0) return status.owner;
    await sleep(20);
  }
}

/** The scorer's own interpreter, behind whatever encloses it. */
const SCORER = /^\S*python\S* .*-c /;
/** A candidate that is at its first step until `letGo`: what happens meanwhile may take as long as it likes. */
const HELD = ['held', 'go'];
const letGo = (of: TrainInput, attempt = 1): void =>
  writeFileSync(join(runFolder(of), `train-${attempt}`, 'tree', 'go'), '');

/** When no process that came after this one can have begun. */
const startBefore = ({ startTime }: Owner): string => String(Number(startTime) - 1);

function logOf(of: TrainInput, attempt: number): string {
  const log = join(runFolder(of), `train-${attempt}`, 'log');
  return existsSync(log) ? readFileSync(log, 'utf8') : '';
}

const seedsSeen = (of: TrainInput, attempt: number): string[] =>
  logOf(of, attempt).match(/"seed": \d+/g) ?? [];

describe('train and evaluate', () => {
  it('train, then score what was submitted', async () => {
    const of = input();
    const worker = activity();
    const running = train(of, HELD, worker);
    while (!worker.beats.some(({ phase }) => phase === 'training')) await sleep(50);
    letGo(of);
    const result = await running;
    expect(result).toMatchObject({
      seed: 7,
      attempts: 1,
      failure: null,
      metrics: { steps: 20, tokens: 640 },
      sandbox: 'bubblewrap',
      device: 'cpu',
    });
    expect(worker.beats).toContainEqual(expect.objectContaining({ phase: 'training', secondsLeft: null }));
    const score = await activity().environment.run(createEvaluate(dependencies([])), of);
    expect(score).toMatchObject({
      failure: null,
      score: 7000,
      metrics: { parameters: 3 },
      scoreSeconds: 0.5,
    });
  });

  it('answer from the disk when asked again', async () => {
    const of = input();
    const first = await train(of, ['happy']);
    expect(await train(of, ['crash'])).toEqual(first);
    expect(readdirSync(runFolder(of)).toSorted()).toEqual(['submission', 'train-1']);
  });

  it('answer for no other commit, seed or budget: that run is put aside, with its logs', async () => {
    const of = input();
    await train(of, ['happy']);
    const { failure } = await train({ ...of, commit: 'd'.repeat(40) }, ['crash']);
    expect(failure).toMatchObject({ reason: 'error' });
    const { seed } = await train({ ...of, seed: of.seed + 1 }, ['happy']);
    expect(seed).toBe(of.seed + 1);
    const names = readdirSync(dirname(runFolder(of)));
    expect(names.filter((name) => name.startsWith('1.replaced-'))).toHaveLength(2);
  });

  it('give a crash as a result', async () => {
    const { failure, attempts } = await train(input(), ['crash']);
    expect(failure).toMatchObject({
      reason: 'error',
      message: 'ValueError: a wrong',
      tail: expect.stringContaining('ValueError: a wrong\nshape'),
    });
    expect(attempts).toBe(1);
  });

  it('do not score without a submission', async () => {
    const scoring = activity().environment.run(createEvaluate(dependencies([])), input());
    await expect(scoring).rejects.toMatchObject({ type: 'SubmissionMissing', nonRetryable: true });
  });

  it('refuse a run on held-back data, which this lab has not, before it starts', async () => {
    const of = input({ split: 'holdout' });
    await expect(train(of, ['happy'])).rejects.toMatchObject({ type: 'NoHoldout', nonRetryable: true });
    expect(logOf(of, 1)).toBe('');
  });

  it.each(['device', 'torch'] as const)('are refused by a worker with another %s', async (key) => {
    const fingerprint = { ...MACHINE, lab: '', data: '', [key]: 'another' };
    const of = input({ class: fingerprint });
    const refused = { type: 'StudyMismatch', nonRetryable: true, message: expect.stringContaining(key) };
    await expect(train(of, ['happy'])).rejects.toMatchObject(refused);
    await train({ ...of, class: { ...fingerprint, ...MACHINE } }, ['happy']);
    const scoring = activity().environment.run(createEvaluate(dependencies([])), of);
    await expect(scoring).rejects.toMatchObject(refused);
  });

  it('train again what was submitted and lost, and say so when it is lost each time', async () => {
    const of = input();
    const lose = async () => {
      rmSync(join(runFolder(of), 'submission', 'weights.safetensors'));
      const scoring = activity().environment.run(createEvaluate(dependencies([])), of);
      await expect(scoring).rejects.toMatchObject({ type: 'SubmissionMissing' });
    };
    const first = await train(of, ['happy']);
    await lose();
    const second = await train(of, ['happy']);
    expect(second).toMatchObject({ attempts: 2, failure: null, weights: first.weights });
    expect(second.wallSeconds).toBeGreaterThan(first.wallSeconds);
    await lose();
    await train(of, ['happy']);
    await lose();
    expect(await train(of, ['happy'])).toMatchObject({
      attempts: 3,
      failure: { reason: 'lost', message: expect.stringContaining('its submission was gone') },
    });
  });
});

describe('a run is found again', () => {
  it('by a second activity at the same time: one runner, one result', async () => {
    const of = input();
    const [one, two] = await Promise.all([train(of, ['slow']), train(of, ['slow'])]);
    expect(one).toEqual(two);
    expect(readdirSync(runFolder(of)).toSorted()).toEqual(['submission', 'train-1']);
    expect(seedsSeen(of, 1)).toHaveLength(1);
  });

  it('after the worker has shut down: the runner goes on meanwhile', async () => {
    const of = input();
    const first = activity();
    const abandoned = train(of, HELD, first);
    const owner = await whenTraining(of);
    first.cancel('workerShutdown');
    await expect(abandoned).rejects.toThrow(CancelledFailure);
    expect(isAlive(owner)).toBe(true);
    letGo(of);
    const result = await train(of, ['crash']);
    expect(result).toMatchObject({ failure: null, attempts: 1, metrics: { steps: 20 } });
    expect((await statusOf(of))?.owner).toEqual(owner);
  });

  it('after the server has given this activity to another worker', async () => {
    const of = input();
    const first = activity();
    const abandoned = train(of, HELD, first);
    const owner = await whenTraining(of);
    first.cancel('timedOut');
    await expect(abandoned).rejects.toThrow(CancelledFailure);
    expect(isAlive(owner)).toBe(true);
    letGo(of);
    expect((await train(of, ['crash'])).attempts).toBe(1);
  });

  it('when its status was destroyed, by its lock', async () => {
    const of = input();
    const first = activity();
    const abandoned = train(of, HELD, first);
    await whenTraining(of);
    first.cancel('workerShutdown');
    await expect(abandoned).rejects.toThrow(CancelledFailure);
    writeFileSync(join(runFolder(of), 'train-1', 'status.json'), '{"format": 1, "own');
    const second = activity();
    const found = train(of, ['crash'], second);
    await once(second.environment, 'heartbeat');
    letGo(of);
    expect(await found).toMatchObject({ failure: null, attempts: 1 });
  });
});

const seeded = (seed: number, weights = '0'): SeededRun => ({
  seed,
  initialWeights: weights.repeat(64),
  weights: null,
});
const trainAmong = (others: ComparableRuns) => {
  const suspicious = { ...dependencies(['happy']), comparableRuns: () => Promise.resolve(others) };
  return activity().environment.run<[TrainInput], RunResult, Train>(createTrain(suspicious), input());
};

describe('a run whose initial weights are those of another seed', () => {
  it('is rejected, where those of its parent differed', async () => {
    expect(await trainAmong({ own: [seeded(8)], parent: [seeded(1, '1'), seeded(2, '2')] })).toMatchObject({
      sameWeightsAsSeed: 8,
      failure: {
        reason: 'rejected',
        message: expect.stringContaining('seed ignored: seeds 7 and 8 gave the same initial weights'),
      },
    });
  });

  it('counts, and says so, where it may have inherited that', async () => {
    expect(await trainAmong({ own: [], parent: [seeded(8)] })).toMatchObject({
      sameWeightsAsSeed: 8,
      failure: null,
    });
  });
});

const capOf = async (budget: TrainInput['budget'], caps: object, baselineSeconds: number | null) => {
  const of = input({ budget });
  const baselineRun = () =>
    Promise.resolve(
      baselineSeconds === null
        ? null
        : { trainSeconds: baselineSeconds, startupSeconds: 1, startupGpuSeconds: null },
    );
  const setting = { ...dependencies(['nothing'], undefined, caps), baselineRun };
  await activity().environment.run(createTrain(setting), of);
  return JSON.parse(readFileSync(join(runFolder(of), 'train-1', 'spec.json'), 'utf8')).trainSeconds;
};

describe('a budget of steps has a cap in seconds', () => {
  it.each([
    ['of ten minutes at least', {}, 3, 600],
    ['of four times the baseline', {}, 1000, 4000],
    ['of a day for the baseline itself', {}, null, 86_400],
    ['that lab.yaml states', { train_seconds: 77 }, 1000, 77],
    ['that lab.yaml states, the baseline too', { train_seconds: 100_000 }, null, 100_000],
  ])('%s', async (_what, caps, baseline, expected) => {
    expect(await capOf({ steps: 20 }, caps, baseline)).toBe(expected);
  });
});

describe('without a sandbox', () => {
  beforeAll(() => void (process.env['AUTORESEARCH_SANDBOX'] = 'none'));
  afterAll(() => void delete process.env['AUTORESEARCH_SANDBOX']);

  it('a candidate that kills itself at the same step twice is to blame', async () => {
    expect(await train(input(), ['kills_itself'])).toMatchObject({
      attempts: 2,
      failure: {
        reason: 'error',
        message: expect.stringMatching(/^killed by SIGKILL twice, after \d+ and \d+/),
      },
    });
  });

  it('one that was killed once, and then lives, is not', async () => {
    const of = input();
    const marker = `marker-${process.pid}-none`;
    const running = train(of, [...HELD, marker]);
    await whenTraining(of);
    for (const pid of pidsOf(marker, CANDIDATE)) process.kill(pid, 'SIGKILL');
    await whenTraining(of, 2);
    letGo(of, 2);
    expect(await running).toMatchObject({ failure: null, attempts: 2, sandbox: 'none' });
  });
});

describe('the baseline', () => {
  it('that is killed from outside each time is an error of the host, and is tried afresh', async () => {
    const of = input({ number: 0 });
    const marker = `marker-${process.pid}-baseline`;
    const running = train(of, [...HELD, marker]);
    running.catch(() => undefined);
    for (const attempt of [1, 2, 3]) {
      await whenTraining(of, attempt);
      for (const pid of pidsOf(marker, CANDIDATE)) process.kill(pid, 'SIGKILL');
    }
    await expect(running).rejects.toMatchObject({
      type: 'HostError',
      nonRetryable: true,
      message: expect.stringMatching(/given up after 3 attempts: killed by SIGKILL from outside.*lab is not/),
    });
    expect(await train(of, ['happy'])).toMatchObject({ failure: null, attempts: 1 });
  });

  it('whose scorer is killed is scored afresh, and not trained again', async () => {
    const of = input({ number: 0, commit: 'another' });
    const { weights } = await train(of, ['happy']);
    const marker = `marker-${process.pid}-baseline-scorer`;
    const score = ['python', '-c', 'import time; time.sleep(600)', marker];
    const scoring = activity().environment.run(createEvaluate(dependencies([], score)), of);
    scoring.catch(() => undefined);
    for (const attempt of [1, 2, 3]) {
      const status = join(runFolder(of), `score-${attempt}`, 'status.json');
      while (!existsSync(status) || pidsOf(marker, SCORER).length === 0) await sleep(20);
      for (const pid of pidsOf(marker, SCORER)) process.kill(pid, 'SIGKILL');
      while (pidsOf(marker, SCORER).length > 0) await sleep(20);
    }
    await expect(scoring).rejects.toMatchObject({ type: 'HostError', nonRetryable: true });
    expect(await activity().environment.run(createEvaluate(dependencies([])), of)).toMatchObject({
      failure: null,
      score: 7000,
    });
    expect(await train(of, ['crash'])).toMatchObject({ failure: null, attempts: 1, weights });
  });
});

describe('a run that is lost', () => {
  it('is repeated with its seed, and counted', async () => {
    const of = input();
    const running = train(of, HELD);
    const { pid } = await whenTraining(of);
    while (seedsSeen(of, 1).length === 0) await sleep(20);
    process.kill(pid, 'SIGKILL');
    await whenTraining(of, 2);
    letGo(of, 2);
    expect(await running).toMatchObject({ failure: null, attempts: 2, seed: 7, metrics: { steps: 20 } });
    expect(seedsSeen(of, 1)).toEqual(seedsSeen(of, 2));
  });

  it.each(['[]', '{"phase": "done"}', '{}', '{"phase": "queued", "step": 1e400}'])(
    'is repeated too when nobody is left who knows it, and its status holds %s',
    async (damaged) => {
      const of = input();
      await train(of, ['happy']);
      writeFileSync(join(runFolder(of), 'train-1', 'status.json'), damaged);
      expect(await train(of, ['happy'])).toMatchObject({
        failure: null,
        attempts: 1,
        seed: 7,
        metrics: { steps: 20 },
      });
    },
  );

  it('is given up after three attempts, with the cause', async () => {
    const of = input();
    const marker = `marker-${process.pid}-lost`;
    const running = train(of, [...HELD, marker]);
    for (const attempt of [1, 2, 3]) {
      await whenTraining(of, attempt);
      for (const pid of pidsOf(marker, CANDIDATE)) process.kill(pid, 'SIGKILL');
    }
    const { failure, attempts } = await running;
    expect(attempts).toBe(3);
    expect(failure).toMatchObject({
      reason: 'lost',
      message: 'given up after 3 attempts: killed by SIGKILL from outside the run',
    });
  });

  it.each([
    ['machine', (owner: Owner): Owner => ({ ...owner, bootId: 'an earlier one' })],
    ['container', (owner: Owner): Owner => ({ ...owner, startTime: startBefore(ownerOf(1)!) })],
  ])(
    'with its %s is repeated more often than that, and counted in the result only',
    async (_what, before) => {
      const of = input();
      const { wallSeconds } = await train(of, ['happy']);
      for (const attempt of [1, 2, 3]) {
        const status = (await statusOf(of))!;
        const cutOff = { ...status, phase: 'training', wallSeconds: 100, owner: before(status.owner) };
        const folder = join(runFolder(of), `train-${attempt}`);
        mkdirSync(folder, { recursive: true });
        writeFileSync(join(folder, 'status.json'), JSON.stringify(cutOff));
      }
      const result = await train(of, ['happy']);
      expect(result).toMatchObject({ failure: null, attempts: 4, seed: 7, metrics: { steps: 20 } });
      expect(result.wallSeconds).toBeGreaterThan(300);
      expect(result.wallSeconds).toBeLessThan(300 + wallSeconds + 60);
    },
  );

  it.each([
    ['three attempts of this life of the machine', 1, 3],
    ['ten of any: it may be what takes the machine down', 10, 0],
  ])('is given up after %s', async (_what, earlier, now) => {
    const of = input();
    await train(of, ['happy']);
    const status = (await statusOf(of))!;
    const bootIds = [
      ...Array<string>(earlier).fill('an earlier one'),
      ...Array<string>(now).fill(status.owner.bootId),
    ];
    for (const [nth, bootId] of bootIds.entries()) {
      // A pid that is not there any more.
      const owner = { ...status.owner, bootId };
      const folder = join(runFolder(of), `train-${nth + 1}`);
      mkdirSync(folder, { recursive: true });
      writeFileSync(join(folder, 'status.json'), JSON.stringify({ ...status, phase: 'training', owner }));
    }
    expect(await train(of, ['happy'])).toMatchObject({
      attempts: earlier + now,
      failure: {
        reason: 'lost',
        message: expect.stringContaining(`given up after ${earlier + now} attempts`),
      },
    });
  });

  it('by `down`, which finds it though its worker has died, is gone with all its children', async () => {
    const of = input({ budget: { seconds: 600 } });
    const marker = `marker-${process.pid}-down`;
    const first = activity();
    const abandoned = train(of, ['deaf', marker], first);
    await whenTraining(of);
    first.cancel('workerShutdown');
    await expect(abandoned).rejects.toThrow(CancelledFailure);
    const name = `nov21/${String(of.number).padStart(4, '0')} run 1`;
    expect(await takeDown(() => undefined)).toMatchObject({ work: [name] });
    expect(processesWith(marker)).toEqual([]);
    expect(await takeDown(() => undefined)).toMatchObject({ work: [] });
  });

  it('by `down` goes on in its folder without being counted, and its seconds are', async () => {
    const of = input();
    const first = activity();
    const abandoned = train(of, HELD, first);
    const owner = await whenTraining(of);
    first.cancel('workerShutdown');
    await expect(abandoned).rejects.toThrow(CancelledFailure);
    process.kill(owner.pid, 'SIGTERM');
    while ((await statusOf(of))?.phase !== 'stopped') await sleep(20);
    const { wallSeconds: spent } = (await statusOf(of))!;
    const result = await train(of, ['slow']);
    expect(result).toMatchObject({ failure: null, attempts: 1, metrics: { steps: 20 } });
    expect(spent).toBeGreaterThan(0.1);
    expect(result.wallSeconds).toBeGreaterThan(spent + result.trainSeconds);
    expect(readdirSync(runFolder(of)).toSorted()).toEqual(['submission', 'train-1']);
  });
});

describe('when the study cancels', () => {
  it('the run ends at once, with all its children', async () => {
    const of = input({ budget: { seconds: 600 } });
    const marker = `marker-${process.pid}-cancel`;
    const first = activity();
    const running = train(of, ['deaf', marker], first);
    const owner = await whenTraining(of);
    expect(processesWith(marker).length).toBeGreaterThanOrEqual(4);
    first.cancel('cancelRequested');
    await expect(running).rejects.toThrow(CancelledFailure);
    expect(isAlive(owner)).toBe(false);
    expect(processesWith(marker)).toEqual([]);
    expect(await holderOf(await deviceLock('cpu'))).toBeNull();
  });

  it('a run ends that still waits for its device', async () => {
    const [one, two] = [input(), input()];
    const running = train(one, HELD);
    await whenTraining(one);
    const second = activity();
    const waiting = train(two, ['happy'], second);
    while ((await statusOf(two))?.phase !== 'queued') await sleep(20);
    expect((await holderOf(await deviceLock('cpu')))?.name).toBe(
      `nov21/${String(one.number).padStart(4, '0')} run 1`,
    );
    const { owner } = (await statusOf(two))!;
    second.cancel('cancelRequested');
    await expect(waiting).rejects.toThrow(CancelledFailure);
    expect(isAlive(owner)).toBe(false);
    letGo(one);
    expect((await running).failure).toBeNull();
    // Nothing has begun, so that the same folder serves.
    expect(await train(two, ['happy'])).toMatchObject({ failure: null, attempts: 1 });
    expect(readdirSync(runFolder(two)).toSorted()).toEqual(['submission', 'train-1']);
  });
});

let cancelled = 0;
const newRunId = () => `cancelled ${cancelled++}`;
const endWork = ({ study, number: experiment }: TrainInput, runId: string) =>
  activity(runId).environment.run(createEndWork(), { study, experiment });

async function expectFree(): Promise<void> {
  expect(await holderOf(await deviceLock('cpu'))).toBeNull();
  expect(await registered()).toEqual([]);
}

describe('when a cancelled activity has lost its worker', () => {
  it('its training is ended with all its children, however often that is asked, and goes on in its folder at the next try', async () => {
    const of = input();
    const runId = newRunId();
    const marker = `marker-${process.pid}-ended`;
    const first = activity(runId);
    const abandoned = train(of, ['deaf', marker], first);
    const owner = await whenTraining(of);
    first.cancel('workerShutdown');
    await expect(abandoned).rejects.toThrow(CancelledFailure);
    await Promise.all([endWork(of, runId), endWork(of, runId)]);
    await endWork(of, runId);
    expect(isAlive(owner)).toBe(false);
    expect(processesWith(marker)).toEqual([]);
    await expectFree();
    const again = await train(of, ['happy'], activity(newRunId()));
    expect(again).toMatchObject({ failure: null, attempts: 1, metrics: { steps: 20 } });
    expect(readdirSync(runFolder(of)).toSorted()).toEqual(['submission', 'train-1']);
  });

  it('its scoring is ended', async () => {
    const of = input();
    const runId = newRunId();
    await train(of, ['happy'], activity(runId));
    const marker = `marker-${process.pid}-scoring`;
    const first = activity(runId);
    const score = ['python', '-c', 'import time; time.sleep(600)', marker];
    const abandoned = first.environment.run(createEvaluate(dependencies([], score)), of);
    while (processesWith(marker).length === 0) await sleep(20);
    first.cancel('workerShutdown');
    await expect(abandoned).rejects.toThrow(CancelledFailure);
    await endWork(of, runId);
    expect(processesWith(marker)).toEqual([]);
    await expectFree();
    const again = activity(newRunId()).environment;
    expect(await again.run(createEvaluate(dependencies([])), of)).toMatchObject({
      failure: null,
      score: 7000,
    });
  });

  it('is ended also where nothing can be written, and asked for again', async () => {
    const of = input({ study: { ...input().study, tag: 'unwritable' } });
    const runId = newRunId();
    const first = activity(runId);
    const abandoned = train(of, HELD, first);
    const owner = await whenTraining(of);
    first.cancel('workerShutdown');
    await expect(abandoned).rejects.toThrow(CancelledFailure);
    writeFileSync(join(studyState(of.study.labId, of.study.tag), 'ended'), 'no folder');
    await expect(endWork(of, runId)).rejects.toThrow(/EEXIST|ENOTDIR/);
    expect(isAlive(owner)).toBe(false);
  });

  it('there may be nothing to end, and other experiments are left alone', async () => {
    const [of, other] = [input(), input()];
    const runId = newRunId();
    const running = train(other, HELD, activity(runId));
    await whenTraining(other);
    await endWork(of, newRunId());
    letGo(other);
    expect(await running).toMatchObject({ failure: null, attempts: 1 });
  });

  it('a worker that wakes up late does not begin its training again', async () => {
    const of = input();
    const runId = newRunId();
    const late = train(of, HELD, activity(runId));
    await whenTraining(of);
    await endWork(of, runId);
    await expect(late).rejects.toThrow('was cancelled meanwhile');
    expect(seedsSeen(of, 1)).toHaveLength(1);
    await expectFree();
  });

  it('nor does one that was about to begin it', async () => {
    const of = input();
    const runId = newRunId();
    const gate = new EventEmitter();
    const held = dependencies(['slow']);
    const exportTree = async (...tree: Parameters<typeof held.exportTree>) => {
      gate.emit('reached');
      await once(gate, 'open');
      return held.exportTree(...tree);
    };
    const reached = once(gate, 'reached');
    const late = activity(runId).environment.run(createTrain({ ...held, exportTree }), of);
    await reached;
    await endWork(of, runId);
    gate.emit('open');
    await expect(late).rejects.toThrow('was cancelled meanwhile');
    expect(seedsSeen(of, 1)).toEqual([]);
    await expectFree();
  });
});

describe('trouble of the host', () => {
  it('is thrown, for Temporal to try again later, and takes no more room each time', async () => {
    const of = input({ device: 'cuda:99' });
    for (let retry = 0; retry < 3; retry++)
      await expect(train(of, ['happy'])).rejects.toThrow(/no cuda:99 here: \d+ GPUs were found/);
    expect(await statusOf(of)).toMatchObject({ phase: 'stopped', failure: { reason: 'lost' } });
    expect(await train({ ...of, device: 'cpu' }, ['happy'])).toMatchObject({ failure: null, attempts: 1 });
    expect(readdirSync(runFolder(of)).toSorted()).toEqual(['submission', 'train-1']);
  });

  it('is a full disk: it says how much room it waits for, and goes on by itself', async () => {
    const of = input();
    const hungry = dependencies(['happy'], undefined, { log_bytes: 2 ** 52 });
    for (let retry = 0; retry < 2; retry++)
      await expect(activity().environment.run(createTrain(hungry), of)).rejects.toThrow(
        /waiting for disk space: \d+ MB free in the state folder .*, a run needs 4503\d+ MB/,
      );
    expect(await statusOf(of)).toBeNull();
    expect(await train(of, ['happy'])).toMatchObject({ failure: null, attempts: 1 });
  });

  it('is a sandbox that cannot be set up, however often', async () => {
    const of = input();
    const broken = { ...dependencies(['happy']), exportTree: () => Promise.resolve({}) };
    for (let retry = 0; retry < 4; retry++) {
      await expect(activity().environment.run(createTrain(broken), of)).rejects.toThrow(
        /the sandbox could not be set up: bwrap: Can't find source path/,
      );
    }
    expect(await train(of, ['happy'])).toMatchObject({ failure: null, attempts: 1 });
  });

  it('is thrown by a worker that only watches, too', async () => {
    const of = input({ device: 'cuda:99' });
    const results = await Promise.allSettled([train(of, ['happy']), train(of, ['happy'])]);
    expect(results.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  });
});

it('a runner that cannot begin is our trouble, with its last words', async () => {
  const running = activity().environment.run(
    createTrain({ ...dependencies(['happy']), runner: '/no/such/runner.js' }),
    input(),
  );
  await expect(running).rejects.toThrow(/ended before it began: Error: Cannot find module/);
});

test('a run that another host is at, which cannot be seen from here, is waited for without haste', async () => {
  const of = input();
  const folder = join(runFolder(of), 'train-1');
  mkdirSync(folder, { recursive: true });
  writeFileSync(
    `${runFolder(of)}.json`,
    JSON.stringify({ base: of.study.base, commit: of.commit, seed: of.seed, budget: of.budget }),
  );
  const holder = await holdElsewhere(join(folder, 'lock'));
  const { environment, cancel } = activity();
  const waiting = train(of, ['happy'], { environment, beats: [], cancel });
  waiting.catch(() => undefined);
  try {
    const begun = performance.now();
    const launches = new Set<number>();
    while (launches.size < 8) {
      const { mtimeMs = null } = statSync(join(folder, 'spec.json'), { throwIfNoEntry: false }) ?? {};
      if (mtimeMs !== null) launches.add(mtimeMs);
      await sleep(5);
    }
    expect(performance.now() - begun).toBeGreaterThan(7 * 250);
    cancel('workerShutdown');
    await expect(waiting).rejects.toThrow(CancelledFailure);
  } finally {
    holder.kill('SIGKILL');
  }
});
