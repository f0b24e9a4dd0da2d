/**
 * Finds a task's runner or starts one, and watches it to its end. The runner is a separate process: it outlives this
 * worker, and a later call with the same task finds the same run.
 */
import { Context, log } from '@temporalio/activity';
import { ApplicationFailure } from '@temporalio/common';
import { mkdir, readFile, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import { experimentName, MAX_ATTEMPTS, type Failure } from '../domain/experiment';
import type { BaselineRun } from '../domain/startup-cap';
import type { ComparableRuns } from '../domain/seed';
import type { LabConfig } from '../labs/lab-yaml';
import type { Blobs } from '../labs/export';
import { holderOf } from '../process/detach';
import { lastLine } from '../process/excerpt';
import { errorCode } from '../process/error-code';
import { readJsonIfWhole, writeJsonAtomic } from '../process/json-file';
import { requireRoom } from '../process/free-space';
import { launchRegistered, unregister } from '../process/register';
import { isAlive, isOfEarlierLife, terminate, type Owner } from '../process/owner';
import { studyState } from '../process/paths';
import { deviceLock } from '../runner/device-lock';
import { KILLED_OUTSIDE } from '../runner/failure';
import { trainBudgetSchema } from '../domain/budget';
import { queuedStatus } from '../runner/status-file';
import type { ScoreSpec, TaskSpec, TaskStatus, TrainSpec } from '../runner/task';
import {
  attemptsOf,
  hasBegun,
  isFinal,
  ownerOfAttempt,
  replaceable,
  runFolder,
  statusOf,
  type Attempt,
  type Run,
} from './attempts';
import { endRun, STOP_MS } from './end-runs';
import { isEnded } from './ended';
import { heartbeatWhile } from './heartbeat';
import type { Progress, StudyRef, TrainInput } from '../domain/run';
import type { RunClass } from '../domain/run-class';

export interface RunDependencies {
  /** Writes a commit's files, the locked ones from the base, to a folder, and says what it holds. */
  exportTree(study: StudyRef, commit: string, directory: string): Promise<Blobs>;
  /** @throws EnvironmentChanged before anything of the environment is run */
  resolveRun(input: TrainInput): Promise<RunSetting>;
  /** The runs whose weights show whether this run's seed has an effect. */
  comparableRuns(input: TrainInput): Promise<ComparableRuns>;
  /** The run from which caps are derived; null before there is one. */
  baselineRun(study: StudyRef): Promise<BaselineRun | null>;
  /** The compiled src/runner/main.ts. */
  runner: string;
}

export interface RunSetting {
  python: string;
  /** The prepared data folder. */
  data: string;
  lab: LabConfig;
  /** The part of the study's class that this machine brings. */
  machine: RunClass;
}

/** A task before any time was spent on it. */
type NewTask = TrainTask | ScoreTask;
export type TrainTask = Omit<TrainSpec, 'spentSeconds'>;
export type ScoreTask = Omit<ScoreSpec, 'spentSeconds'>;

/** One training or scoring: its folder has a subfolder for each attempt. */
export interface Task {
  kind: TaskSpec['kind'];
  input: TrainInput;
  runner: string;
  /** Prepares an attempt's files in `folder`. Idempotent. */
  prepare(folder: string): Promise<NewTask>;
}

export interface Outcome {
  status: TaskStatus;
  failure: Failure | null;
  /** Attempts that have begun. */
  attempts: number;
  /** Of all of them. */
  wallSeconds: number;
}

/** The most attempts of any kind: the candidate itself may crash the host. */
const MAX_STARTS = 10;
/** Steps count when their batches are sent, a few ahead. */
const SAME_STEP = 3;
const POLL_MS = 250;
/** How long a cancelled activity waits for the server to confirm the cancellation. */
const ANSWER_MS = 3_000;
/** Beside logs and weights: the tree, statuses, and temporary files of packing the lab's git. */
const ROOM_BYTES = 64e6;
/** The worker's environment variables that a runner gets: no keys. */
const ENVIRONMENT = /^(PATH|HOME|USER|LANG|TMPDIR|LD_LIBRARY_PATH|XDG_.*|AUTORESEARCH_(SANDBOX|DEVICES))$/;

export const runnerEnvironment = (): NodeJS.ProcessEnv =>
  Object.fromEntries(Object.entries(process.env).filter(([variable]) => ENVIRONMENT.test(variable)));

export const submissionFolder = (input: TrainInput): string => join(runFolder(input), 'submission');

/** The common part of a training's and a scoring's spec. */
export function commonSpec(input: TrainInput, { python, data, lab }: RunSetting, tree: string) {
  return {
    format: 1,
    name: taskName(input),
    tree,
    data,
    python,
    device: input.device,
    submission: submissionFolder(input),
    logBytes: lab.caps.log_bytes,
    scratchBytes: lab.caps.scratch_bytes,
  } as const;
}

/**
 * Checks for room for a run's files.
 * @param bytes beside its log
 * @throws Error that says how much room is missing where; the activity is retried until there is enough
 */
export async function checkRoom({ study }: TrainInput, { lab }: RunSetting, bytes: number): Promise<void> {
  await requireRoom([
    {
      what: 'the state folder',
      folder: studyState(study.labId, study.tag),
      bytes: bytes + lab.caps.log_bytes + ROOM_BYTES,
    },
    { what: "the lab's git", folder: study.lab, bytes: ROOM_BYTES },
  ]);
}

/** `nov21/0042 run 1` */
export const taskName = ({ study, number, run }: TrainInput): string =>
  `${study.tag}/${experimentName(number)} run ${run}`;

/**
 * Attends a task to its end. When the worker shuts down, the run goes on without it; when the study cancels, the run is
 * ended first.
 */
export async function attend(task: Task): Promise<Outcome> {
  let progress: Progress = { phase: 'queued', step: 0, loss: null, tokens: 0, secondsLeft: null };
  const show = (status: TaskStatus): void => {
    progress = progressOf(status);
  };
  return heartbeatWhile(
    ownFolder(task.input).then(async () => orHostError(task, await untilDone(task, show))),
    { study: task.input.study, details: () => progress },
  );
}

/**
 * A lost baseline says nothing about the lab, so it is not recorded: the study pauses, and the next try begins with new attempts.
 * @throws ApplicationFailure (not retryable) if the baseline was lost
 */
async function orHostError({ kind, input }: Task, found: Outcome): Promise<Outcome> {
  if (input.number !== 0 || found.failure?.reason !== 'lost') return found;
  const at = Date.now();
  for (const { folder, number } of await attemptsOf(input, kind))
    await rename(folder, join(dirname(folder), `lost-${at}-${kind}-${number}`));
  const message =
    `${taskName(input)}, the baseline, was killed from outside (${found.failure.message}): ` +
    'find out what kills processes on this host (memory, other jobs, a scheduler); the lab is not to blame';
  throw ApplicationFailure.nonRetryable(message, 'HostError');
}

/** Identifies a run. A tag may be used again, and a candidate that was never recorded may be replaced. */
const identitySchema = z.strictObject({
  base: z.string(),
  commit: z.string(),
  seed: z.int(),
  budget: trainBudgetSchema,
});

const identityFile = (run: Run): string => `${runFolder(run)}.json`;

/** The identity of the run in the folder of this name; null without one. */
export const identityOfRun = (run: Run): Promise<z.infer<typeof identitySchema> | null> =>
  readJsonIfWhole(identityFile(run), identitySchema);

/** Moves another run's folder of the same name aside: its results are not this run's. */
async function ownFolder(input: TrainInput): Promise<void> {
  const { study, commit, seed, budget } = input;
  const root = runFolder(input);
  const identity = { base: study.base, commit, seed, budget };
  if (isDeepStrictEqual(await identityOfRun(input), identity)) return;
  await endRun(input);
  await rename(root, `${root}.replaced-${Date.now()}`).catch((error: unknown) => {
    if (errorCode(error) !== 'ENOENT') throw error;
  });
  await mkdir(dirname(root), { recursive: true });
  await writeJsonAtomic(identityFile(input), identity);
}

async function untilDone(task: Task, show: (status: TaskStatus) => void): Promise<Outcome> {
  const context = Context.current();
  for (;;) {
    if (context.cancellationSignal.aborted) await context.cancelled;
    await throwIfEnded(task);
    const attempts = await attemptsOf(task.input, task.kind);
    const last = attempts.at(-1);
    const owner = last === undefined ? null : await ownerOfAttempt(last);
    if (owner !== null && last !== undefined) {
      throwHostError(task, await follow(last.folder, owner, show));
      continue;
    }
    // It may have finished between the two reads.
    const status = last === undefined ? null : await statusOf(last.folder);
    if (status !== null && isFinal(status)) return outcome(attempts.slice(0, -1), status, status.failure);
    const begun = attempts.filter((attempt) => hasBegun(attempt.status));
    const struck = begun.filter((attempt) => attempt.status && !isOfEarlierLife(attempt.status.owner));
    const isGivenUp = struck.length >= MAX_ATTEMPTS || begun.length >= MAX_STARTS;
    const own = repeatedDeath(begun);
    if (status !== null && own !== null) return outcome(attempts.slice(0, -1), status, own);
    if (last !== undefined && status !== null && isGivenUp) {
      return outcome(attempts.slice(0, -1), status, await lost(last, status, begun.length));
    }
    if (last === undefined) {
      await start(task, 1, null, show);
    } else if (hasBegun(status)) {
      log.warn('the attempt was killed from outside, starting another', {
        task: taskName(task.input),
        number: last.number + 1,
      });
      // Log and status explain what happened; the tree only takes room.
      await rm(join(last.folder, 'tree'), { recursive: true, force: true });
      await start(task, last.number + 1, null, show);
    } else {
      await start(task, last.number, status, show);
    }
  }
}

/** @param stopped the last status of a stopped attempt, which goes on in its folder with the seconds that it has spent */
async function start(
  task: Task,
  number: number,
  stopped: TaskStatus | null,
  show: (status: TaskStatus) => void,
): Promise<void> {
  const { kind, input, runner } = task;
  const name = taskName(input);
  const folder = join(runFolder(input), `${kind}-${number}`);
  await mkdir(folder, { recursive: true });
  const spec = await task.prepare(folder);
  await writeJsonAtomic(join(folder, 'spec.json'), { ...spec, spentSeconds: stopped?.wallSeconds ?? 0 });
  const device = await deviceLock(input.device);
  const holder = await holderOf(device);
  if (holder !== null) log.info(`${name} waits for ${input.device}, held by ${holder.name}`);
  const owner = await launchRegistered({
    command: [process.execPath, runner, folder],
    cwd: folder,
    env: runnerEnvironment(),
    log: join(folder, 'runner.log'),
    lock: join(folder, 'lock'),
    name,
    waitFor: [device],
    queued: {
      file: join(folder, 'status.json'),
      content: { ...queuedStatus(), wallSeconds: stopped?.wallSeconds ?? 0 },
      instead: await replaceable(folder, stopped),
    },
    adoptOrphans: true,
  });
  if (owner === null) {
    // Another process has started it: the next round finds it, unless it is not visible from here.
    await Context.current().sleep(POLL_MS);
    return;
  }
  if (await isEnded(input.study)) await terminate(owner, { graceMs: STOP_MS });
  await throwIfEnded(task);
  log.info(`${name}: ${kind} ${number} started`, { pid: owner.pid });
  const status = await follow(folder, owner, show);
  if (status === null || status.phase === 'queued') {
    throw new Error(
      `the runner of ${name} ended before it began: ${await lastWords(folder)} (${folder}/runner.log)`,
    );
  }
  throwHostError(task, status);
}

/**
 * Ends an activity whose workflow was cancelled: as cancelled once the server says so, or with a failure that nobody waits for.
 * @throws CancelledFailure or ApplicationFailure if the workflow was cancelled
 */
async function throwIfEnded({ input }: Task): Promise<void> {
  if (!(await isEnded(input.study))) return;
  await Context.current().sleep(ANSWER_MS);
  throw ApplicationFailure.nonRetryable(`${taskName(input)} was cancelled meanwhile`, 'Ended');
}

/** Throws a host error, which Temporal retries, at most a minute apart. */
function throwHostError({ input }: Task, status: TaskStatus | null): void {
  if (status?.phase === 'stopped' && status.failure !== null)
    throw new Error(`${taskName(input)}: ${status.failure.message}`);
}

/** Watches a runner until it has ended. */
async function follow(
  folder: string,
  owner: Owner,
  show: (status: TaskStatus) => void,
): Promise<TaskStatus | null> {
  const context = Context.current();
  for (;;) {
    const alive = isAlive(owner);
    const status = await statusOf(folder);
    if (status !== null) show(status);
    if (!alive) {
      await unregister(join(folder, 'lock'));
      return status;
    }
    try {
      await context.sleep(POLL_MS);
    } catch (error) {
      const why = context.cancellationDetails;
      // After any other cancellation (shutdown, timeout, reset) the run goes on, and another attempt finds it.
      if (why?.cancelRequested === true && !why.workerShutdown) await terminate(owner, { graceMs: STOP_MS });
      throw error;
    }
  }
}

/**
 * The candidate's own failure, if it seems to have killed itself. Without a sandbox it can, and only repetition distinguishes
 * that from a kill by the host: with the same seed it dies at the same step again. Deaths before the first step prove nothing.
 */
function repeatedDeath(begun: readonly Attempt[]): Failure | null {
  const [first, second] = begun.slice(-2).map(({ status }) => status);
  if (!isUnexplained(first) || !isUnexplained(second)) return null;
  if (Math.abs(first.step - second.step) > SAME_STEP) return null;
  const message = `killed by SIGKILL twice, after ${first.step} and ${second.step} steps: the candidate seems to kill itself`;
  return { reason: 'error', message, tail: second.failure?.tail ?? '' };
}

const isUnexplained = (status: TaskStatus | null | undefined): status is TaskStatus =>
  status?.sandbox === 'none' && status.step > 0 && status.failure?.message === KILLED_OUTSIDE;

async function lost({ folder }: Attempt, status: TaskStatus, attempts: number): Promise<Failure> {
  const cause =
    status.failure?.message ?? `the runner was killed while ${status.phase} (${await lastWords(folder)})`;
  const message = `given up after ${attempts} attempts: ${cause}`.slice(0, 200);
  return { reason: 'lost', message, tail: status.failure?.tail ?? '' };
}

function outcome(before: Attempt[], status: TaskStatus, failure: Failure | null): Outcome {
  const earlier = before.flatMap((attempt) => attempt.status ?? []);
  return {
    status,
    failure,
    attempts: 1 + before.filter((attempt) => hasBegun(attempt.status)).length,
    wallSeconds: earlier.reduce((sum, { wallSeconds }) => sum + wallSeconds, status.wallSeconds),
  };
}

async function lastWords(folder: string): Promise<string> {
  const text = await readFile(join(folder, 'runner.log'), 'utf8').catch(() => '');
  // An error's message is above its stack.
  const error = text.split('\n').findLast((line) => /^\w*Error\b/.test(line));
  return error?.trim() ?? lastLine(text);
}

function progressOf({ phase, step, lastLoss, tokens, deadline }: TaskStatus): Progress {
  const secondsLeft = deadline === null ? null : Math.max(0, (deadline - Date.now()) / 1000);
  return { phase, step, loss: lastLoss, tokens, secondsLeft };
}
