/**
 * Requests that reach a study right after its worker was replaced. No worker here caches a workflow, so that each task replays
 * the history from its start: what `Worker.runReplayHistory` reads there later has to be what the study did.
 */
import { EventEmitter, once } from 'node:events';
import { ApplicationFailure } from '@temporalio/common';
import type { WorkflowHandle } from '@temporalio/client';
import * as fc from 'fast-check';
import type { StudyStatus } from '../../src/domain/status';
import * as messages from '../../src/workflows/messages';
import { openStage, status, until, World, type RunningStudy, type Stage, type StudyOptions } from './world';

const worlds = new Map<string, World>();
let stage: Stage;
let count = 0;

beforeAll(async () => {
  stage = await openStage((tag) => worlds.get(tag)!, { maxCachedWorkflows: 0 });
});
afterAll(() => stage.stop(), 120_000);

interface Scene {
  world: World;
  begin: (options?: StudyOptions) => Promise<RunningStudy>;
}

/** What makes a study pause, and how a person removes the cause. */
interface Cause {
  reach: (scene: Scene) => Promise<RunningStudy>;
  reason: RegExp;
  cure?: (world: World) => void;
}

const childOf = ({ config }: RunningStudy): WorkflowHandle =>
  stage.environment.client.workflow.getHandle(`${config.workflowId}/exp-0001`);

async function whileItTrains({ world, begin }: Scene, act: (study: RunningStudy) => Promise<unknown>) {
  world.hangAt(1);
  const study = await begin({ limits: { experiments: 3 } });
  await until(() => world.trained.includes(1), Boolean);
  await act(study);
  return study;
}
const goesOn = (world: World): void => {
  world.trainingOf = () => Promise.resolve();
};

const CAUSES: Record<string, Cause> = {
  'a person': {
    reach: async ({ world, begin }) => {
      const gate = new EventEmitter();
      world.trainingOf = async (number) => void (number === 1 && (await once(gate, 'open')));
      const study = await begin({ limits: { experiments: 4 } });
      await until(() => world.trained.includes(1), Boolean);
      await study.handle.executeUpdate(messages.pauseUpdate);
      gate.emit('open');
      return study;
    },
    reason: /^paused by request$/u,
  },
  'a limit': { reach: ({ begin }) => begin({ limits: { experiments: 2 } }), reason: /^experiments limit/u },
  'an experiment that fails': {
    reach: ({ world, begin }) => {
      world.proposeTrouble = 'the key is wrong';
      return begin({ limits: { experiments: 3 } });
    },
    reason: /the key is wrong/u,
    cure: (world) => {
      world.proposeTrouble = null;
    },
  },
  'an experiment that is terminated': {
    reach: (scene) => whileItTrains(scene, (study) => childOf(study).terminate()),
    reason: /^experiment 1 could not be done/u,
    cure: goesOn,
  },
  'an experiment that is cancelled': {
    reach: (scene) => whileItTrains(scene, (study) => childOf(study).cancel()),
    reason: /it was cancelled/u,
    cure: goesOn,
  },
  'no money': {
    reach: ({ world, begin }) => {
      const propose = world.activities.propose.bind(world.activities);
      world.activities.propose = (input) => {
        if (world.proposeTrouble === null) return propose(input);
        throw ApplicationFailure.nonRetryable('dollars limit: too little is left', 'BudgetExhausted');
      };
      world.proposeTrouble = 'no money';
      return begin({ limits: { experiments: 3 } });
    },
    reason: /^dollars limit/u,
    cure: (world) => {
      world.proposeTrouble = null;
    },
  },
  'a lack of ideas': {
    reach: ({ world, begin }) => {
      world.activities.apply = ({ number }) =>
        Promise.resolve({
          commit: String(number).padStart(40, 'c'),
          failure: number >= 1 && number <= 3 ? { reason: 'no-proposal', message: 'none', tail: '' } : null,
        });
      return begin({ limits: { experiments: 7 } });
    },
    reason: /^nothing was proposed/u,
  },
  'a lab that cannot be opened': {
    reach: ({ world, begin }) => {
      world.openTrouble = 'the lab is gone';
      return begin({ limits: { experiments: 2 } });
    },
    reason: /the lab is gone/u,
    cure: (world) => {
      world.openTrouble = null;
    },
  },
  'a baseline that crashed': {
    reach: ({ world, begin }) => {
      world.failureOf = (number) => (number === 0 ? { reason: 'error', message: 'no', tail: '' } : null);
      return begin({ limits: { experiments: 3 } });
    },
    reason: /^the baseline crashed/u,
  },
};

interface Request {
  args: unknown[];
  /** Whether the study has done what was asked, `before` being what it said while it was paused. */
  isDone: (now: StudyStatus, before: StudyStatus) => boolean;
}

const hasGoneOn = (now: StudyStatus, before: StudyStatus): boolean =>
  now.spent.experiments > before.spent.experiments;

const REQUESTS: Record<string, Request> = {
  stop: { args: [{}], isDone: ({ phase }) => phase === 'stopped' },
  pause: { args: [], isDone: ({ reason }) => reason === 'paused by request' },
  // Against a limit that still holds, it pauses again with the same words.
  resume: {
    args: [],
    isDone: (now, before) => hasGoneOn(now, before) || before.reason!.startsWith('experiments limit'),
  },
  adjustBudget: { args: [{ experiments: 9 }], isDone: ({ limits }) => limits.experiments === 9 },
  hint: { args: ['wider'], isDone: ({ waiting }) => waiting.hints.join('') === 'wider' },
  idea: { args: ['deeper'], isDone: ({ waiting }) => waiting.ideas.join('') === 'deeper' },
};
const KINDS = ['signal', 'update'] as const;

async function send({ handle }: RunningStudy, kind: (typeof KINDS)[number], name: string, args: unknown[]) {
  if (kind === 'signal') await handle.signal(name, ...args);
  else await handle.executeUpdate(name, { args: args as [] });
}

async function goOnToItsEnd(study: RunningStudy): Promise<void> {
  await study.handle.executeUpdate(messages.adjustBudgetUpdate, { args: [{ experiments: 6 }] });
  await study.handle.executeUpdate(messages.resumeUpdate);
  await until(
    () => status(study),
    (now) => now.spent.experiments === 6,
  );
  await study.handle.executeUpdate(messages.stopUpdate, { args: [{}] });
}

async function answer(cause: Cause, kind: (typeof KINDS)[number], name: string): Promise<void> {
  const world = new World();
  const tag = `c${count++}`;
  worlds.set(tag, world);
  const study = await cause.reach({ world, begin: (options) => stage.start({ tag, ...options }) });
  const before = await until(
    () => status(study),
    ({ phase }) => phase === 'paused',
    15,
  );
  expect(before.reason).toMatch(cause.reason);
  cause.cure?.(world);
  const request = REQUESTS[name]!;
  await send(study, kind, name, request.args);
  await until(
    () => status(study),
    (now) => request.isDone(now, before),
    20,
  );
  if (name !== 'stop') await goOnToItsEnd(study);
  const heard = [
    ...world.proposed.flatMap(({ waiting }) => waiting.hints),
    ...world.records.flatMap(({ taken }) => taken.ideas),
  ];
  // What waits is heard once, however often the history is read again.
  expect(heard).toEqual(name === 'hint' ? ['wider'] : name === 'idea' ? ['deeper'] : []);
  expect(await study.handle.result()).toMatchObject({ phase: 'stopped' });
  await stage.mustReplay(study.config.workflowId);
}

describe.each(Object.entries(CAUSES))('paused by %s', (_, cause) => {
  test('each request is obeyed, once, and the history replays', async () => {
    const all = Object.keys(REQUESTS)
      .slice(0, 2)
      .flatMap((name) => KINDS.map((kind) => [kind, name] as const));
    const outcomes = await Promise.allSettled(all.map(([kind, name]) => answer(cause, kind, name)));
    const failed = outcomes.flatMap((outcome, nth) =>
      outcome.status === 'rejected' ? [`${all[nth]!.join(' ')}: ${String(outcome.reason).slice(-700)}`] : [],
    );
    expect(failed).toEqual([]);
  }, 300_000);
});

type Deed =
  | { do: 'terminate' }
  | { do: 'pause' | 'resume'; by: (typeof KINDS)[number] }
  | { do: 'hint' | 'idea' | 'nonsense'; by: (typeof KINDS)[number] }
  | { do: 'adjustBudget'; by: (typeof KINDS)[number]; experiments: number };

const by = fc.constantFrom(...KINDS);
const deeds = fc.array(
  fc.oneof(
    { weight: 2, arbitrary: fc.constant<Deed>({ do: 'terminate' }) },
    { weight: 4, arbitrary: fc.record({ do: fc.constantFrom('pause', 'resume'), by }) },
    { weight: 4, arbitrary: fc.record({ do: fc.constantFrom('hint', 'idea', 'nonsense'), by }) },
    {
      weight: 1,
      arbitrary: fc.record({
        do: fc.constant('adjustBudget' as const),
        by,
        experiments: fc.integer({ min: 5, max: 9 }),
      }),
    },
  ),
  { minLength: 14, maxLength: 14 },
);

/** Does all of it to a study whose experiment 1 trains, and follows what the study has to say in the end. */
async function live(all: readonly Deed[]): Promise<void> {
  const world = new World();
  const tag = `c${count++}`;
  worlds.set(tag, world);
  world.hangAt(1);
  const study = await stage.start({ tag, limits: { experiments: 4 } });
  const until1 = (ask: (now: StudyStatus) => boolean) => until(() => status(study), ask);
  await until1(({ current }) => current === 1);
  const expected = { hints: [] as string[], ideas: [] as string[], experiments: 4, reason: /^$/u };
  for (const [nth, deed] of all.entries()) {
    switch (deed.do) {
      case 'terminate':
        if (expected.reason.source !== '^$') break;
        await until1(({ current }) => current === 1);
        await until(
          () =>
            childOf(study)
              .terminate()
              .then(
                () => true,
                () => false,
              ),
          Boolean,
        );
        await until1(({ phase }) => phase === 'paused');
        expected.reason = /^experiment 1 could not be done/u;
        break;
      case 'pause':
      case 'resume':
        await send(study, deed.by, deed.do, []);
        expected.reason = deed.do === 'pause' ? /^paused by request$/u : /^$/u;
        break;
      case 'hint':
      case 'idea':
        await send(study, deed.by, deed.do, [`${deed.do} ${nth}`]);
        expected[`${deed.do}s`].push(`${deed.do} ${nth}`);
        break;
      case 'nonsense':
        await send(study, deed.by, 'hint', [{ text: 7 }]).catch(() => undefined);
        break;
      case 'adjustBudget':
        await send(study, deed.by, 'adjustBudget', [{ experiments: deed.experiments }]);
        expected.experiments = deed.experiments;
    }
  }
  const now = await status(study);
  expect(now.waiting).toMatchObject({ hints: expected.hints, ideas: expected.ideas });
  expect(now.limits.experiments).toBe(expected.experiments);
  expect(now.reason ?? '').toMatch(expected.reason);
  world.trainingOf = () => Promise.resolve();
  await study.handle.executeUpdate(messages.stopUpdate, { args: [{ now: true }] });
  await study.handle.result();
  await stage.mustReplay(study.config.workflowId);
}

test('a whole life of requests: each is obeyed, in their order, and the history replays', async () => {
  const lives = fc.sample(deeds, { numRuns: 8, seed: 11 });
  const outcomes = await Promise.allSettled(lives.map(live));
  const failed = outcomes.flatMap((outcome, nth) =>
    outcome.status === 'rejected' ? [`${JSON.stringify(lives[nth])}: ${String(outcome.reason)}`] : [],
  );
  expect(failed).toEqual([]);
}, 300_000);
