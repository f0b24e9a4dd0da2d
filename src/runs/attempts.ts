/**
 * The folders of one run's attempts, `runs/0042/1/train-1`, and what they tell. An attempt that the host's trouble or a
 * `down` has stopped goes on in its folder; one that was lost leaves it behind, for its log.
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

/** Where a run's folders are: attempts, and the submission that its training leaves for its scoring. */
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

/** A status that no runner of ours can have written is as good as none: the disk lost it, and the run is repeated. */
export const statusOf = (folder: string): Promise<TaskStatus | null> =>
  readJsonIfWhole(join(folder, 'status.json'), taskStatusSchema);

/**
 * SHA-256 of the status that another start may take the place of: the one that says what `stopped` says, or where that is null
 * one that says nothing. Undefined when there is none like that.
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

/** `lost` is the runner's word for "killed from outside": that is repeated. */
export const isFinal = (status: TaskStatus): boolean =>
  status.phase === 'done' && status.failure?.reason !== 'lost';

/** What has ended well was for nothing: or it would be found done whenever it is to be done again. */
export async function markAsLost({ folder, status }: Attempt, why: string): Promise<void> {
  if (status === null || status.phase !== 'done' || status.failure !== null) return;
  await writeJsonAtomic(join(folder, 'status.json'), { ...status, failure: failure('lost', why, '') });
}

/** Whether an attempt has been lost by a foreign hand; stopped ones are nobody's fault. */
export const hasBegun = (status: TaskStatus | null): boolean =>
  status !== null && status.phase !== 'queued' && status.phase !== 'stopped';
