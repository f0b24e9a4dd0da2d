/** Finds the folders that runners leave for an experiment: what its trainings and scorings printed and how they stand. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { experimentName } from '../domain/experiment';
import type { StudyConfig } from '../domain/study';
import { readJsonIfWhole } from '../process/json-file';
import { studyState } from '../process/paths';
import { taskStatusSchema, type TaskStatus } from '../runner/task';

export type TaskKind = 'train' | 'score';

export interface TaskLog {
  kind: TaskKind;
  /** 1 is the screening run. */
  run: number;
  attempt: number;
  /** What it printed. */
  log: string;
  /** null before its runner has written one. */
  status: TaskStatus | null;
}

const FOLDER = /^(train|score)-(\d+)$/;

/** Every task of an experiment, oldest first; none on another host, or once they are cleaned up. */
export async function taskLogs({ labId, tag }: StudyConfig, number: number): Promise<TaskLog[]> {
  const root = join(studyState(labId, tag), 'runs', experimentName(number));
  const runs = (await entries(root)).filter((name) => /^\d+$/.test(name));
  const found = await Promise.all(runs.map((run) => tasksOf(root, run)));
  return found
    .flat()
    .toSorted((a, b) => a.run - b.run || b.kind.localeCompare(a.kind) || a.attempt - b.attempt);
}

async function tasksOf(root: string, run: string): Promise<TaskLog[]> {
  const folders = (await entries(join(root, run)))
    .map((name) => FOLDER.exec(name))
    .filter((match) => match !== null);
  return Promise.all(
    folders.map(async ([name, kind, attempt]) => {
      const folder = join(root, run, name);
      return {
        kind: kind === 'train' ? ('train' as const) : ('score' as const),
        run: Number(run),
        attempt: Number(attempt),
        log: join(folder, 'log'),
        status: await readJsonIfWhole(join(folder, 'status.json'), taskStatusSchema),
      };
    }),
  );
}

const entries = (folder: string): Promise<string[]> => readdir(folder).catch(() => []);
