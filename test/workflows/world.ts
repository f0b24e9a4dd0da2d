/** A world for workflows: a real Temporal server and worker, and activities that play a lab without training anything. */
import { randomUUID } from 'node:crypto';
import { CancelledFailure, Context } from '@temporalio/activity';
import { ApplicationFailure } from '@temporalio/common';
import { TestWorkflowEnvironment } from '@temporalio/testing';
import { bundleWorkflowCode, DefaultLogger, Runtime, Worker } from '@temporalio/worker';
import type { WorkflowHandle, WorkflowHandleWithFirstExecutionRunId } from '@temporalio/client';
import type {
  ControlActivities,
  DeviceActivities,
  Proposed,
  ProposeInput,
  RecordInput,
  SaveInput,
} from '../../src/activities/interface';
import { gpuSeconds, type ExperimentSummary, type RunResult } from '../../src/domain/experiment';
import { UNLIMITED, type Limits } from '../../src/domain/limits';
import type { Phase } from '../../src/domain/status';
import { LATER_SETTINGS, rebuild, type StudyConfig, type StudyState } from '../../src/domain/study';
import type { LastTaken } from '../../src/domain/waiting';
import { findTemporal } from '../../src/host/temporal-binary';
import { channelArgs } from '../../src/temporal/connection';
import { studyHistories } from '../../src/temporal/histories';
import { controlQueue } from '../../src/temporal/queues';
import { SEARCH_ATTRIBUTES } from '../../src/temporal/search-attributes';
import * as messages from '../../src/workflows/messages';
import type { study } from '../../src/workflows/study';
import { silentTasks } from './silent-tasks';

export const LANE = { queue: 'cpu-test', device: 'cpu' };
const CLASS = { device: 'test', torch: '0', lab: '0', data: '0' };

/** The ledger and the lab's behaviour; a test changes what it likes before or while a study runs. */
export class World {
  readonly records: RecordInput[] = [];
  /** What was asked for; asked again, the answer is the one that was given before, as git would have it. */
  readonly proposed: ProposeInput[] = [];
  private readonly proposals = new Map<string, Proposed>();
  readonly saved: SaveInput[] = [];
  readonly ended: (number | null)[] = [];
  readonly trained: number[] = [];
  readonly cancelled: number[] = [];
  scoreOf = (number: number, _commit: string): number => 2 - number / 100;
  failureOf = (_number: number): RunResult['failure'] => null;
  /** Trainings wait for this; a test that wants to catch one in the middle makes it wait. */
  trainingOf: (number: number) => Promise<void> = () => Promise.resolve();
  /** How many submissions of each experiment the fake host still loses before they are scored. */
  readonly submissionsToLose = new Map<number, number>();
  proposeTrouble: string | null = null;
  openTrouble: string | null = null;
  lane = LANE;

  /** Trainings of this experiment never end by themselves. */
  hangAt(number: number): void {
    this.trainingOf = (current) => (current === number ? new Promise(() => undefined) : Promise.resolve());
  }

  ledger(): ExperimentSummary[] {
    return this.records.map((record) => this.summary(record));
  }

  private summary(record: RecordInput): ExperimentSummary {
    return {
      number: record.number,
      commit: record.commit,
      verdict: record.decision.verdict,
      reason: record.decision.reason,
      score: record.decision.score,
      scores: record.runs.flatMap(({ arm, score }) => (arm === 'candidate' ? (score ?? []) : [])),
      incumbentScores: record.runs.flatMap(({ arm, score }) => (arm === 'incumbent' ? (score ?? []) : [])),
      title: record.number === 0 ? 'baseline' : `change ${record.number}`,
      gpuSeconds: gpuSeconds(record.runs),
      seconds: 1,
      dollars: record.dollars,
      assumed: null,
    };
  }

  private lastTaken(): LastTaken | null {
    const last = this.records.at(-1);
    return last === undefined ? null : { number: last.number, startedAt: last.startedAt, taken: last.taken };
  }

  readonly activities: ControlActivities & DeviceActivities = {
    openStudy: (config) => {
      if (this.openTrouble !== null) throw ApplicationFailure.nonRetryable(this.openTrouble, 'LabError');
      return Promise.resolve({
        state: rebuild(config.limits, this.ledger()),
        last: this.lastTaken(),
        lane: this.lane,
        class: CLASS,
        seal: 'graph',
        caps: { startup: 10, submission: 10, score: 10 },
      });
    },
    propose: (input) => {
      if (this.proposeTrouble !== null) {
        throw ApplicationFailure.nonRetryable(this.proposeTrouble, 'NoProposal');
      }
      this.proposed.push(input);
      const { number, repair, waiting } = input;
      const proposal = `p${number}-${repair?.attempt ?? 0}`;
      const proposed = this.proposals.get(proposal) ?? {
        proposal,
        title: `change ${number}`,
        dollars: 0.5,
        taken: waiting,
        gaveUp: null,
      };
      this.proposals.set(proposal, proposed);
      // Ideas are not in a proposal: they come in with the record.
      return Promise.resolve({ ...proposed, taken: { ...waiting, hints: proposed.taken.hints } });
    },
    apply: ({ number }) => Promise.resolve({ commit: String(number).padStart(40, 'c'), failure: null }),
    train: async ({ number, seed }) => {
      this.trained.push(number);
      const beat = setInterval(() => Context.current().heartbeat(), 200);
      try {
        await Promise.race([this.trainingOf(number), Context.current().cancelled]);
      } catch (error) {
        if (error instanceof CancelledFailure) this.cancelled.push(number);
        throw error;
      } finally {
        clearInterval(beat);
      }
      return {
        seed,
        attempts: 1,
        failure: this.failureOf(number),
        metrics: { steps: 10, tokens: 1000 },
        trainSeconds: 5,
        wallSeconds: 8,
        startupSeconds: 2,
        startupGpuSeconds: null,
        initialWeights: null,
        weights: null,
        sameWeightsAsSeed: null,
        sandbox: 'none',
        device: 'cpu',
      };
    },
    evaluate: ({ number, commit }) => {
      const toLose = this.submissionsToLose.get(number) ?? 0;
      this.submissionsToLose.set(number, toLose - 1);
      if (toLose > 0) throw ApplicationFailure.nonRetryable('no submission of it', 'SubmissionMissing');
      return Promise.resolve({
        failure: null,
        score: this.scoreOf(number, commit),
        metrics: { parameters: 1000 },
        scoreSeconds: 1,
        wallSeconds: 2,
      });
    },
    record: (input) => {
      const earlier = this.records.find((record) => record.number === input.number);
      if (earlier === undefined) this.records.push(input);
      const { taken } = earlier ?? input;
      return Promise.resolve({ summary: this.summary(earlier ?? input), taken, ledger: 'l', branch: 'b' });
    },
    save: (input) => {
      this.saved.push(input);
      return Promise.resolve();
    },
    endWork: ({ experiment }) => {
      this.ended.push(experiment);
      return Promise.resolve();
    },
  };
}

/** What is not as the other studies have it. */
export type StudyOptions = Partial<Omit<StudyConfig, 'limits'>> & { limits?: Partial<Limits> };

export interface Stage {
  environment: TestWorkflowEnvironment;
  /** @param begins the state that it begins with, as `resume` gives it */
  start(options?: StudyOptions, begins?: StudyState): Promise<RunningStudy>;
  /**
   * Replays the histories of a study and of its experiments, as they are now; `stop` does so with all of them.
   * @throws if one does not agree, or has a task without a command
   */
  mustReplay(workflowId: string): Promise<void>;
  /** Does something while no worker is there. */
  withoutWorkers(work: () => Promise<void>): Promise<void>;
  stop(): Promise<void>;
}

export interface RunningStudy {
  handle: WorkflowHandleWithFirstExecutionRunId<typeof study>;
  config: StudyConfig;
}

export interface StageOptions {
  /** For the server, such as a lower limit for continue-as-new. */
  extraArgs?: string[];
  /** Modules with interceptors of the workflows. */
  interceptors?: string[];
  /** 0: each workflow task replays the history from its start, as a new worker does. */
  maxCachedWorkflows?: number;
}

export async function openStage(
  world: (tag: string) => World,
  { extraArgs = [], interceptors = [], maxCachedWorkflows = 100 }: StageOptions = {},
): Promise<Stage> {
  const temporal = await findTemporal();
  if (temporal === null) throw new Error('no Temporal server: run `npm run setup` first');
  Runtime.install({ logger: new DefaultLogger('ERROR') });
  const environment = await TestWorkflowEnvironment.createLocal({
    server: {
      executable: { type: 'existing-path', path: temporal.path },
      searchAttributes: [...SEARCH_ATTRIBUTES],
      extraArgs,
    },
    plugins: [
      {
        name: 'channel',
        configureConnection: (options) => ({ ...options, channelArgs: channelArgs(options.address ?? '') }),
      },
    ],
  });
  const activities = Object.fromEntries(
    (['openStudy', 'propose', 'apply', 'train', 'evaluate', 'record', 'save', 'endWork'] as const).map(
      (name) => [
        name,
        (input: { tag: string } | { study: { tag: string } }) =>
          (world(tagOf(input)).activities[name] as (input: unknown) => Promise<unknown>)(input),
      ],
    ),
  );
  const common = {
    connection: environment.nativeConnection,
    activities,
    maxHeartbeatThrottleInterval: '200ms',
  } as const;
  const workflowBundle = await bundleWorkflowCode({
    workflowsPath: require.resolve('../../src/workflows'),
    payloadConverterPath: require.resolve('../../src/temporal/payload-converter'),
    workflowInterceptorModules: interceptors,
    logger: new DefaultLogger('WARN'),
  });
  const startWorkers = async (): Promise<() => Promise<unknown>> => {
    const workers = await Promise.all([
      Worker.create({
        ...common,
        taskQueue: controlQueue(),
        workflowBundle,
        maxCachedWorkflows,
      }),
      Worker.create({ ...common, taskQueue: LANE.queue }),
    ]);
    const running = Promise.all(workers.map((worker) => worker.run()));
    return () => {
      for (const worker of workers) worker.shutdown();
      return running;
    };
  };
  let stopWorkers = await startWorkers();
  const started = new Set<string>();
  const mustReplay = async (workflowId: string): Promise<void> => {
    for await (const run of studyHistories(environment.client, workflowId)) {
      // Nothing can be sent to an experiment.
      const silent = run.workflowId === workflowId ? silentTasks(run.history) : [];
      if (silent.length > 0)
        throw new Error(`${run.workflowId} has tasks without a command:\n${silent.join('\n')}`);
      await Worker.runReplayHistory({ workflowBundle }, run.history, run.workflowId);
    }
  };
  return {
    environment,
    start: async ({ limits = {}, tag = `t${randomUUID().slice(0, 8)}`, ...change } = {}, begins) => {
      const config = { ...studyConfig(tag, { ...UNLIMITED, ...limits }), ...change };
      started.add(config.workflowId);
      const handle = await environment.client.workflow.start<typeof study>('study', {
        taskQueue: controlQueue(),
        workflowId: config.workflowId,
        args: begins === undefined ? [config] : [config, begins],
      });
      return { handle, config };
    },
    mustReplay,
    withoutWorkers: async (work) => {
      await stopWorkers();
      await work();
      stopWorkers = await startWorkers();
    },
    stop: async () => {
      try {
        await stopWorkers();
        for (const workflowId of started) await mustReplay(workflowId);
      } finally {
        await environment.teardown();
      }
    },
  };
}

const tagOf = (input: { tag: string } | { study: { tag: string } }): string =>
  'study' in input ? input.study.tag : input.tag;

function studyConfig(tag: string, limits: Limits): StudyConfig {
  return {
    format: 2,
    tag,
    workflowId: `study-${tag}`,
    lab: '/nowhere',
    labId: '00000000',
    researcher: 'tpe',
    researcherCommand: null,
    budget: { seconds: 5 },
    limits,
    metric: 'val_bpb',
    direction: 'minimize',
    base: 'b'.repeat(40),
    createdAt: '2026-01-01T00:00:00.000Z',
    ...LATER_SETTINGS,
  };
}

export const status = ({ handle }: { handle: WorkflowHandle }) => handle.query(messages.statusQuery);

/** Waits until the study is in a phase. @returns what it says then */
export const inPhase = (study: { handle: WorkflowHandle }, phase: Phase) =>
  until(
    () => status(study),
    (now) => now.phase === phase,
  );

export const paused = (study: { handle: WorkflowHandle }) => inPhase(study, 'paused');

/** Stops a study, and waits for its end. */
export async function end({ handle }: { handle: WorkflowHandle }): Promise<void> {
  await handle.signal('stop');
  await handle.result();
}

/** Asks until the answer satisfies; a study moves on its own. */
export async function until<T>(
  ask: () => Promise<T> | T,
  satisfies: (answer: T) => boolean,
  seconds = 60,
  pauseMs = 50,
): Promise<T> {
  const deadline = Date.now() + seconds * 1000;
  for (;;) {
    const answer = await ask();
    if (satisfies(answer)) return answer;
    if (Date.now() > deadline)
      throw new Error(`not within ${seconds} s; the last answer was ${JSON.stringify(answer)}`);
    await new Promise((wake) => setTimeout(wake, pauseMs));
  }
}
