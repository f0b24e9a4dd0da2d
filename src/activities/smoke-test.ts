/**
 * A smoke test: one step of a candidate on made-up data, from its imports to its submission, before a run is spent on it.
 * It is candidate code, so it runs as a training does: by a runner, in the sandbox, under the device's lock, never
 * beside a run that is timed. Nothing is compiled, and nothing of it is kept.
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
import { studyState } from '../process/paths';
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
  /** The study's prepared data: its manifest says how rows look. */
  data: (study: StudyRef) => Promise<string>;
  python: string;
  /** The study's own. */
  device: string;
}

/** @param tree the candidate's, as an object of the lab's git */
export type SmokeTest = (
  input: ProposeInput,
  lab: LabConfig,
  tree: string,
  signal: AbortSignal,
) => Promise<Objection | null>;

/** From launch to the first step; what takes longer is left to the run, whose own caps decide. */
const STARTUP_SECONDS = 90;
/** For one step that nothing has compiled, and for the submission. */
const STEP_SECONDS = 30;
/** What a failure has to be for the candidate to be at fault on any machine: memory and time are the run's to judge. */
const TELLING = new Set<Failure['reason']>(['error', 'rejected', 'diverged']);
const POLL_MS = 100;
const TAIL_CHARACTERS = 2_000;

export function createSmokeTest(dependencies: SmokeTestDependencies): SmokeTest {
  return async (input, lab, tree, signal) => {
    const { study, number } = input;
    await endSmokeTest(study, number);
    // Of this attempt alone: one that was replaced and has not heard of it yet takes away only its own.
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
      if (status === null || isEnded) throw new Error(`the ${name} was ended from outside`);
      return objectionTo(status.failure);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  };
}

const proposalFolder = ({ labId, tag }: StudyRef, number: number): string =>
  join(studyState(labId, tag), 'proposals', experimentName(number));

/** Beside the folder, which goes: whoever comes next, and `down`, find its holder. */
const lockOf = (folder: string): string => `${folder}.lock`;
const SMOKE_TEST = /^(smoke-test-\w+)(\.lock)?$/;

/** Ends the smoke tests of an experiment that have lost their worker, and takes away what they have left. */
export async function endSmokeTest(study: StudyRef, number: number): Promise<void> {
  const proposal = proposalFolder(study, number);
  const folders = new Set((await entriesOf(proposal)).flatMap((name) => SMOKE_TEST.exec(name)?.[1] ?? []));
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

/** Until the runner has ended; it goes when its researcher does. */
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
  if (owner === null) throw new Error(`another worker is at the ${name} just now`);
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
  if (failure === null || !TELLING.has(failure.reason)) return null;
  const { message, tail } = failure;
  // What libraries say as they go comes after the traceback's end.
  const end = tail.lastIndexOf(message);
  const told = end < 0 ? tail : tail.slice(0, end + message.length);
  return { kind: 'startup', message: `${message}\n${told.slice(-TAIL_CHARACTERS)}`.trim() };
}
