/**
 * The smoke test: one step of a candidate on synthetic data, from its imports to its submission, before a run is spent on it.
 * It runs candidate code, so it runs like a training: by a runner, in the sandbox, under the device's lock, never beside a
 * timed run. Nothing is compiled, and its files are deleted.
 */
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { experimentName, type Failure } from '../domain/experiment';
import type { LabConfig } from '../labs/lab-yaml';
import { holderOf } from '../process/detach';
import { entriesOf } from '../process/entries';
import { writeJsonAtomic } from '../process/json-file';
import { launchRegistered, unregister } from '../process/register';
import { isAlive, terminate, type Owner } from '../process/owner';
import { proposalFolder } from '../researchers/proposal-folder';
import type { Objection } from '../researchers/researcher';
import { deviceLock } from '../runner/device-lock';
import { queuedStatus } from '../runner/status-file';
import type { TrainSpec } from '../runner/task';
import { statusOf } from '../runs/attempts';
import { STOP_MS } from '../runs/end-runs';
import type { ProposeInput } from './interface';
import type { StudyRef } from '../domain/run';
import { runnerEnvironment } from '../runs/watch';

export interface SmokeTestDependencies {
  /** The compiled src/runner/main.ts. */
  runner: string;
  exportTree: (study: StudyRef, treeish: string, directory: string) => Promise<unknown>;
  /** Path of the study's prepared data, whose manifest describes the rows. */
  data: (study: StudyRef) => Promise<string>;
  python: string;
  /** The study's device. */
  device: string;
}

/**
 * @param tree id of the candidate's tree in the lab's git
 * @returns the objection; null when the candidate starts, or when only a real run can tell
 */
export type SmokeTest = (
  input: ProposeInput,
  lab: LabConfig,
  tree: string,
  signal: AbortSignal,
) => Promise<Objection | null>;

/** From launch to the first step. A slower candidate passes: the caps of its run decide. */
const STARTUP_SECONDS = 90;
/** For one uncompiled step, and for the submission. */
const STEP_SECONDS = 30;
/** Failures that are the candidate's fault on any machine; memory and time are judged by the run. */
const CONCLUSIVE = new Set<Failure['reason']>(['error', 'rejected', 'diverged']);
const POLL_MS = 100;
const TAIL_CHARACTERS = 2_000;

export function createSmokeTest(dependencies: SmokeTestDependencies): SmokeTest {
  return async (input, lab, tree, signal) => {
    const { study, number } = input;
    await endSmokeTest(study, number);
    // A folder for this attempt alone: a replaced attempt that still runs deletes only its own.
    const proposal = proposalFolder(study, number);
    await mkdir(proposal, { recursive: true });
    const folder = await mkdtemp(join(proposal, 'smoke-test-'));
    try {
      await dependencies.exportTree(study, tree, join(folder, 'tree'));
      const name = `${study.tag}/${experimentName(number)} smoke test`;
      await writeJsonAtomic(join(folder, 'spec.json'), await specOf(dependencies, input, lab, folder, name));
      await run(dependencies, folder, name, signal);
      const status = await statusOf(folder);
      const isEnded = status?.phase === 'stopped' && status.failure === null;
      if (status === null || isEnded) throw new Error(`the ${name} was killed from outside`);
      return objectionTo(status.failure);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  };
}

/** Beside the folder, which is deleted: the next attempt and `down` find the process through it. */
const lockOf = (folder: string): string => `${folder}.lock`;
const FOLDER_OR_LOCK = /^(smoke-test-\w+)(\.lock)?$/;

/** Ends the smoke tests of an experiment whose worker died, and deletes their files. */
export async function endSmokeTest(study: StudyRef, number: number): Promise<void> {
  const proposal = proposalFolder(study, number);
  const folders = new Set(
    (await entriesOf(proposal)).flatMap((name) => FOLDER_OR_LOCK.exec(name)?.[1] ?? []),
  );
  for (const folder of folders) await endOne(join(proposal, folder));
}

async function endOne(folder: string): Promise<void> {
  const lock = lockOf(folder);
  const holder = await holderOf(lock);
  if (holder !== null) {
    await terminate(holder, { graceMs: STOP_MS });
    await unregister(lock);
  }
  await rm(folder, { recursive: true, force: true });
  await rm(lock, { force: true });
}

async function specOf(
  { data, python, device }: SmokeTestDependencies,
  { study }: ProposeInput,
  { train, caps }: LabConfig,
  folder: string,
  name: string,
): Promise<TrainSpec> {
  return {
    kind: 'train',
    format: 1,
    name,
    smokeTest: true,
    tree: join(folder, 'tree'),
    data: await data(study),
    python,
    device,
    command: train.command,
    submission: join(folder, 'submission'),
    logBytes: caps.log_bytes,
    scratchBytes: caps.scratch_bytes,
    spentSeconds: 0,
    seed: 1,
    budget: { steps: 1 },
    startupSeconds: Math.min(STARTUP_SECONDS, caps.startup_seconds),
    startupGpuSeconds: null,
    submissionSeconds: Math.min(STEP_SECONDS, caps.submission_seconds),
    stallSeconds: Math.min(STEP_SECONDS, caps.stall_seconds),
    trainSeconds: STEP_SECONDS,
    weightsBytes: caps.weights_bytes,
  };
}

/** Runs the smoke test to its end; aborting the signal ends it. */
async function run(
  { runner, device }: SmokeTestDependencies,
  folder: string,
  name: string,
  signal: AbortSignal,
): Promise<void> {
  const lock = lockOf(folder);
  const owner = await launchRegistered({
    command: [process.execPath, runner, folder],
    cwd: folder,
    env: runnerEnvironment(),
    log: join(folder, 'runner.log'),
    lock,
    name,
    waitFor: [await deviceLock(device)],
    queued: { file: join(folder, 'status.json'), content: queuedStatus() },
    adoptOrphans: true,
  });
  if (owner === null) throw new Error(`another worker is running the ${name}`);
  try {
    await ended(owner, signal);
  } finally {
    await terminate(owner, { graceMs: STOP_MS });
    await unregister(lock);
    await rm(lock, { force: true });
  }
}

async function ended(owner: Owner, signal: AbortSignal): Promise<void> {
  while (isAlive(owner)) await sleep(POLL_MS, undefined, { signal });
}

function objectionTo(failure: Failure | null): Objection | null {
  if (failure === null || !CONCLUSIVE.has(failure.reason)) return null;
  const { message, tail } = failure;
  // Cut the messages that libraries print at exit, after the traceback.
  const end = tail.lastIndexOf(message);
  const traceback = end < 0 ? tail : tail.slice(0, end + message.length);
  return { kind: 'startup', message: `${message}\n${traceback.slice(-TAIL_CHARACTERS)}`.trim() };
}
