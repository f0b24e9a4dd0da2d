/** Studies that go the ways a study can go, recorded as histories: a real server and worker, nothing trained. */
import { EventEmitter, once } from 'node:events';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { Context } from '@temporalio/activity';
import { ApplicationFailure } from '@temporalio/common';
import { historyToJSON, type History } from '@temporalio/common/lib/proto-utils';
import { studyHistories } from '../../src/temporal/histories';
import * as messages from '../../src/workflows/messages';
import {
  end,
  paused,
  openStage,
  until,
  World,
  type RunningStudy,
  type Stage,
  type StudyOptions,
} from '../workflows/world';

export const HISTORIES = join(__dirname, 'histories');

/** More than any scenario but the long one has. */
const CONTINUE_AFTER_EVENTS = 60;
/** A little longer than an experiment that was left behind is waited for between two looks. */
const LET_GO_MS = 6_000;

interface Scene {
  stage: Stage;
  world: World;
  tag: string;
  start: (experiments?: number | null, change?: StudyOptions) => Promise<RunningStudy>;
}

/** Each ends with its study closed. */
const SCENARIOS: Record<string, (scene: Scene) => Promise<void>> = {
  async verdicts({ world, start }) {
    world.scoreOf = (number) => [2, 1.9, 2.1][number] ?? 3;
    world.failureOf = (number) =>
      number === 3 ? { reason: 'oom', message: 'out of memory', tail: 'Traceback …' } : null;
    world.activities.apply = ({ number }) =>
      Promise.resolve({
        commit: String(number).padStart(40, 'c'),
        failure:
          number === 4 ? { reason: 'rejected', message: 'outside the editable files', tail: '' } : null,
      });
    const study = await start(5);
    await paused(study);
    await end(study);
  },

  async 'baseline-crashes'({ world, start }) {
    world.failureOf = () => ({ reason: 'error', message: 'it never ran', tail: '' });
    const study = await start(2);
    await paused(study);
    world.failureOf = () => null;
    await study.handle.executeUpdate(messages.resumeUpdate);
    await until(
      () => study.handle.query(messages.statusQuery),
      ({ spent }) => spent.experiments === 2,
    );
    await end(study);
  },

  async 'pause-and-resume'({ world, start }) {
    const gate = new EventEmitter();
    world.trainingOf = async (number) => void (number === 1 && (await once(gate, 'open')));
    const study = await start(3);
    await until(() => world.trained.includes(1), Boolean);
    await study.handle.signal('pause');
    gate.emit('open');
    await paused(study);
    await study.handle.executeUpdate(messages.resumeUpdate);
    await until(
      () => study.handle.query(messages.statusQuery),
      ({ spent }) => spent.experiments === 3,
    );
    await end(study);
  },

  async 'limit-raised'({ start }) {
    const study = await start(2);
    await paused(study);
    await study.handle.signal('hint', { text: 'try a smaller batch' });
    await study.handle.signal('adjustBudget', { hours: 'many' });
    const refused = study.handle.executeUpdate(messages.adjustBudgetUpdate, { args: [{ experiments: -1 }] });
    await refused.catch(() => undefined);
    await study.handle.executeUpdate(messages.adjustBudgetUpdate, { args: [{ experiments: 3 }] });
    await until(
      () => study.handle.query(messages.statusQuery),
      ({ spent }) => spent.experiments === 3,
    );
    await paused(study);
    await study.handle.executeUpdate(messages.stopUpdate, { args: [{}] });
    await study.handle.result();
  },

  async 'stop-now-and-start-again'({ world, start }) {
    world.hangAt(1);
    const study = await start();
    await until(() => world.trained.includes(1), Boolean);
    await study.handle.executeUpdate(messages.stopUpdate, { args: [{ now: true }] });
    await study.handle.result();
    world.trainingOf = () => Promise.resolve();
    const again = await start(2);
    await paused(again);
    await end(again);
  },

  async 'stop-now-while-it-opens'({ world, start }) {
    let hasBegun = false;
    world.activities.openStudy = async () => {
      hasBegun = true;
      const beat = setInterval(() => Context.current().heartbeat(), 200);
      return Context.current().cancelled.finally(() => clearInterval(beat));
    };
    const study = await start();
    await until(() => hasBegun, Boolean);
    await study.handle.executeUpdate(messages.stopUpdate, { args: [{ now: true }] });
    await study.handle.result();
  },

  async 'stop-now-without-a-worker'({ world, start }) {
    world.activities.train = async ({ number }) => {
      world.trained.push(number);
      // It never beats, so that its worker is missed.
      return Context.current().cancelled;
    };
    const study = await start();
    await until(() => world.trained.includes(0), Boolean);
    await study.handle.executeUpdate(messages.stopUpdate, { args: [{ now: true }] });
    await study.handle.result();
  },

  async cancelled({ world, start }) {
    world.hangAt(0);
    const study = await start();
    await until(() => world.trained.includes(0), Boolean);
    await study.handle.cancel();
    await study.handle.result().catch(() => undefined);
  },

  async 'experiment-cancelled'({ stage, world, start }) {
    world.hangAt(1);
    const study = await start(2);
    await until(() => world.trained.includes(1), Boolean);
    await stage.environment.client.workflow.getHandle(`${study.config.workflowId}/exp-0001`).cancel();
    await paused(study);
    world.trainingOf = () => Promise.resolve();
    await study.handle.executeUpdate(messages.resumeUpdate);
    await until(
      () => study.handle.query(messages.statusQuery),
      ({ spent }) => spent.experiments === 2,
    );
    await end(study);
  },

  async 'experiment-terminated'({ stage, world, start }) {
    world.hangAt(1);
    const study = await start(2);
    await until(() => world.trained.includes(1), Boolean);
    await stage.environment.client.workflow.getHandle(`${study.config.workflowId}/exp-0001`).terminate();
    await paused(study);
    world.trainingOf = () => Promise.resolve();
    // The worker that comes then has nothing but the history.
    await stage.withoutWorkers(() => Promise.resolve());
    await study.handle.executeUpdate(messages.resumeUpdate);
    await until(
      () => study.handle.query(messages.statusQuery),
      ({ spent }) => spent.experiments === 2,
    );
    await end(study);
  },

  async 'left-behind'({ world, start }) {
    const gate = new EventEmitter();
    const train = world.activities.train.bind(world.activities);
    // Deaf to the cancellation that comes with its study's end.
    world.activities.train = async (input) => {
      if (input.number === 1 && !world.trained.includes(1)) {
        world.trained.push(1);
        await once(gate, 'open');
      }
      return train(input);
    };
    const study = await start();
    await until(() => world.trained.includes(1), Boolean);
    await study.handle.terminate();
    const again = await start(3);
    await until(
      () => again.handle.query(messages.statusQuery),
      ({ current }) => current === 1,
    );
    await sleep(LET_GO_MS);
    gate.emit('open');
    await paused(again);
    await end(again);
  },

  async 'said-while-it-saves'({ world, start }) {
    const gate = new EventEmitter();
    const asked: unknown[] = [];
    world.activities.save = async (input) => {
      asked.push(input);
      if (asked.length === 1) await once(gate, 'open');
    };
    const study = await start(1);
    await paused(study);
    await study.handle.signal('hint', 'early');
    await study.handle.signal('stop');
    await until(() => asked.length, Boolean);
    await study.handle.executeUpdate(messages.hintUpdate, { args: ['at the last moment'] });
    gate.emit('open');
    await study.handle.result();
  },

  async trouble({ world, start }) {
    world.openTrouble = 'the lab is gone';
    world.proposeTrouble = 'nothing was proposed';
    const study = await start(2);
    await paused(study);
    world.openTrouble = null;
    await study.handle.signal('resume');
    await until(
      () => study.handle.query(messages.statusQuery),
      ({ phase, spent }) => phase === 'paused' && spent.experiments === 1,
    );
    world.proposeTrouble = null;
    await study.handle.signal('resume');
    await until(
      () => study.handle.query(messages.statusQuery),
      ({ spent }) => spent.experiments === 2,
    );
    await end(study);
  },

  async repairs({ world, start }) {
    let crashes = 1;
    world.failureOf = (number) =>
      number === 2 || (number === 1 && crashes-- > 0)
        ? { reason: 'error', message: 'no such name', tail: 'Traceback …' }
        : null;
    const study = await start(3, { repairs: 2 });
    await paused(study);
    await end(study);
  },

  async 'submission-lost'({ world, start }) {
    world.submissionsToLose.set(1, 1).set(2, 3);
    const study = await start();
    await paused(study);
    await end(study);
  },

  async 'nothing-proposed'({ world, start }) {
    world.activities.apply = ({ number }) =>
      Promise.resolve({
        commit: String(number).padStart(40, 'c'),
        failure: number > 0 ? { reason: 'no-proposal', message: 'no idea', tail: '' } : null,
      });
    const study = await start();
    await paused(study);
    await end(study);
  },

  async 'money-and-what-waits'({ world, start }) {
    const propose = world.activities.propose.bind(world.activities);
    world.activities.propose = (input) => {
      if ((input.left.dollars ?? Infinity) < 0.5)
        throw ApplicationFailure.nonRetryable('dollars limit: too little is left', 'BudgetExhausted');
      return propose(input);
    };
    const study = await start(null, { limits: { dollars: 0.6 } });
    await paused(study);
    await study.handle.signal('idea', { text: 'for later' });
    await study.handle.signal('hint', 'for the next time');
    await study.handle.signal('adjustBudget', { dollars: 1.2 });
    await until(
      () => study.handle.query(messages.statusQuery),
      ({ phase, spent }) => phase === 'paused' && spent.experiments === 3,
    );
    await study.handle.signal('hint', 'nobody hears this');
    await end(study);
  },

  async 'continue-as-new'({ stage, start }) {
    const study = await start(14);
    const handle = stage.environment.client.workflow.getHandle(study.config.workflowId);
    await paused({ handle });
    await handle.signal('stop');
    await study.handle.result();
  },
};

export async function record(version: string): Promise<void> {
  if (!/^v\d+\.\d+\.\d+$/.test(version))
    throw new Error('expected the version that is released, such as v0.2.0');
  const folder = join(HISTORIES, version);
  if (existsSync(folder)) throw new Error(`${folder} is there: histories of a release are recorded once`);
  let world = new World();
  const stage = await openStage(() => world, {
    extraArgs: ['--dynamic-config-value', `limit.historyCount.suggestContinueAsNew=${CONTINUE_AFTER_EVENTS}`],
  });
  try {
    for (const [tag, play] of Object.entries(SCENARIOS)) {
      const own = (world = new World());
      const start: Scene['start'] = (experiments = null, change = {}) =>
        stage.start({ tag, limits: { experiments }, ...change });
      await play({ stage, world: own, tag, start });
      await save(stage, tag, join(folder, tag));
    }
  } finally {
    await stage.stop();
  }
}

async function save(stage: Stage, tag: string, folder: string): Promise<void> {
  mkdirSync(folder, { recursive: true });
  const runs = new Map<string, number>();
  for await (const { workflowId, history } of studyHistories(stage.environment.client, `study-${tag}`)) {
    const name = workflowId.slice(`study-${tag}/`.length) || 'study';
    // The experiments of a long study are like those of short ones.
    if (tag === 'continue-as-new' && name !== 'study') continue;
    const run = (runs.get(name) ?? 0) + 1;
    runs.set(name, run);
    writeFileSync(
      join(folder, `${name}-run-${run}.json.gz`),
      gzipSync(withoutMachine(history), { level: 9 }),
    );
  }
  console.log(`${tag}: ${[...runs].map(([name, count]) => `${name} ×${count}`).join(', ')}`);
}

/** Names of hosts and files of the machine that recorded are nobody's business, and mean nothing in a replay. */
function withoutMachine(history: History): string {
  const plain: unknown = JSON.parse(historyToJSON(history), (key, value: unknown) => {
    if (key === 'stackTrace') return '';
    return typeof value === 'string' ? value.replaceAll(hostname(), 'host') : value;
  });
  return JSON.stringify(plain);
}
