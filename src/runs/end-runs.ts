/** Ends runners, no matter which process has started them. */
import { dirname, join } from 'node:path';
import { entriesOf } from '../process/entries';
import { unregister } from '../process/register';
import { terminate } from '../process/owner';
import { attemptsOf, ownerOfAttempt, runFolder, type Run } from './attempts';
import type { StudyRef } from '../domain/run';

/** A runner asks its candidate to end for 2 s; then everything is killed. */
export const STOP_MS = 4_000;

/** Ends a run's training or scoring. Its folder stays. */
export async function endRun(run: Run): Promise<void> {
  const attempts = [...(await attemptsOf(run, 'train')), ...(await attemptsOf(run, 'score'))];
  await Promise.all(
    attempts.map(async (attempt) => {
      const owner = await ownerOfAttempt(attempt);
      if (owner === null) return;
      await terminate(owner, { graceMs: STOP_MS });
      await unregister(join(attempt.folder, 'lock'));
    }),
  );
}

/** Ends all runs of an experiment. */
export async function endRuns(study: StudyRef, number: number): Promise<void> {
  const folder = dirname(runFolder({ study, number, run: 1 }));
  const names = await entriesOf(folder);
  const runs = names.filter((name) => /^[1-9]\d*$/.test(name)).map(Number);
  await Promise.all(runs.map((run) => endRun({ study, number, run })));
}
