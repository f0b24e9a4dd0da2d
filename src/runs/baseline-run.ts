/** The run that a study's caps follow: the first one with a score, the baseline's unless that crashed. */
import type { ScoredRun } from '../domain/experiment';
import { Git } from '../ledger/git';
import { readRecord } from '../ledger/ledger';
import type { StudyRef } from '../domain/run';

/** Null before the first run with a score. */
export async function baselineRun({ lab, tag }: StudyRef): Promise<ScoredRun | null> {
  const git = new Git(lab);
  for (let number = 0; ; number++) {
    const record = await readRecord(git, tag, number);
    if (record === null) return null;
    const run = record.runs.find(({ arm, score }) => arm === 'candidate' && score !== null);
    if (run !== undefined) return run;
  }
}
