/** What the study's baseline took to start up: the measure for each candidate after it. */
import type { Startup } from '../domain/startup-cap';
import { Git } from '../lab/git';
import { readRecord } from '../lab/ledger';
import type { TrainInput } from './interface';

/** Null for the baseline itself, and where none of its runs came to `start`. */
export async function baselineStartup({ study, number }: TrainInput): Promise<Startup | null> {
  if (number === 0) return null;
  const record = await readRecord(new Git(study.lab), study.tag, 0);
  const run = record?.runs.findLast(({ startupSeconds }) => startupSeconds > 0);
  return run === undefined ? null : { seconds: run.startupSeconds, gpuSeconds: run.startupGpuSeconds };
}
