/**
 * The folders of one run's attempts, `runs/0042/1/train-1`, and their state. An attempt that a host error or
 * `down` has stopped goes on in its folder; a lost one leaves its folder behind, for the log.
 */
import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { experimentName } from '../domain/experiment';
import { holderOf } from '../process/detach';
import { readJsonIfWhole, writeJsonAtomic } from '../process/json-file';
import { isAlive, type Owner } from '../process/owner';
import { studyState } from '../process/paths';
import { failure } from '../runner/failure';
import { taskStatusSchema, type TaskSpec, type TaskStatus } from '../runner/task';
import type { TrainInput } from '../domain/run';

export interface Attempt {
  number: number;
  folder: string;
  status: TaskStatus | null;
}

/** Names a run. */
export type Run = Pick<TrainInput, 'study' | 'number' | 'run'>;

/** The folder of a run: its attempts, and the submission that its training leaves for its scoring. */
export function runFolder({ study, number, run }: Run): string {
  return join(studyState(study.labId, study.tag), 'runs', experimentName(number), String(run));
}

export async function attemptsOf(run: Run, kind: TaskSpec['kind']): Promise<Attempt[]> {
  const root = runFolder(run);
  const names = await readdir(root).catch(() => []);
  const numbers = names
    .flatMap((name) => new RegExp(`^${kind}-([1-9]\\d*)$`).exec(name)?.[1] ?? [])
    .map(Number);
  return Promise.all(
    numbers
      .toSorted((a, b) => a - b)
      .map(async (number) => {
        const folder = join(root, `${kind}-${number}`);
        return { number, folder, status: await statusOf(folder) };
      }),
  );
}

/** Null for a status that no runner can have written: the disk lost it, and the run is repeated. */
export const statusOf = (folder: string): Promise<TaskStatus | null> =>
  readJsonIfWhole(join(folder, 'status.json'), taskStatusSchema);

/**
 * SHA-256 of a status file that another start may replace: one that equals `stopped`, or an invalid one if `stopped` is null.
 * Undefined without such a file.
 */
export async function replaceable(folder: string, stopped: TaskStatus | null): Promise<string | undefined> {
  const text = await readFile(join(folder, 'status.json')).catch(() => null);
  if (text === null || !isDeepStrictEqual(parsed(String(text)), stopped)) return undefined;
  return createHash('sha256').update(text).digest('hex');
}

function parsed(text: string): TaskStatus | null {
  try {
    return taskStatusSchema.parse(JSON.parse(text));
  } catch {
    return null;
  }
}

export async function ownerOfAttempt({ folder, status }: Attempt): Promise<Owner | null> {
  if (status !== null && isAlive(status.owner)) return status.owner;
  return holderOf(join(folder, 'lock'));
}

/** A `lost` run was killed from outside, and is repeated. */
export const isFinal = (status: TaskStatus): boolean =>
  status.phase === 'done' && status.failure?.reason !== 'lost';

/** Marks a finished attempt as lost, so that the run is done again instead of being found done. */
export async function markAsLost({ folder, status }: Attempt, why: string): Promise<void> {
  if (status === null || status.phase !== 'done' || status.failure !== null) return;
  await writeJsonAtomic(join(folder, 'status.json'), { ...status, failure: failure('lost', why, '') });
}

/** True if an attempt without a result was killed from outside; a stopped one was not. */
export const hasBegun = (status: TaskStatus | null): boolean =>
  status !== null && status.phase !== 'queued' && status.phase !== 'stopped';
