/**
 * Deletes an experiment's unneeded files after its record. The submissions of a `keep` stay, and for all experiments what a person
 * reads: statuses, and logs of a bounded size.
 */
import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { experimentName, type ExperimentRecord } from '../domain/experiment';
import { errorCode } from '../process/error-code';
import { boundLog } from '../process/log-file';
import { studyState } from '../process/paths';
import { copiesIn, removeCopies } from '../labs/working-copy';
import type { StudyRef } from '../domain/run';

/** `tree.partial-…` is an interrupted export, and `….tmp` an interrupted atomic write. */
const UNNEEDED = /^(tree(\.partial-.*)?|scratch|out|ledger\.jsonl|.*\.tmp)$/;
/** An export of the study's lab. It takes seconds, so an old one was interrupted. */
const PARTIAL_BASE = /^base\.partial-/;
const CUT_OFF_MS = 3_600_000;
/** The size to which each log of a finished experiment is cut: its beginning and its end. */
const LOG_BYTES = 64 * 1024;
const LOGS = /^(log|runner\.log|transcript.*\.log)$/;

/** Idempotent; a missing folder is no error. */
export async function cleanUpRuns(
  { study, number, verdict }: ExperimentRecord,
  { labId }: Pick<StudyRef, 'labId'>,
): Promise<void> {
  const state = studyState(labId, study);
  const experiment = join(state, 'runs', experimentName(number));
  for (const run of await entries(experiment)) {
    const folder = join(experiment, run);
    // Logs of a replaced run of the same name were left until the record exists.
    if (run.includes('.replaced-') || UNNEEDED.test(run)) await remove(folder);
    else if (/^\d+$/.test(run)) await cleanUpRun(folder, verdict === 'keep');
  }
  const proposal = join(state, 'proposals', experimentName(number));
  await removeCopies(copiesIn(proposal));
  await shorten(proposal);
  for (const name of (await entries(state)).filter((each) => PARTIAL_BASE.test(each)))
    await removeCutOff(join(state, name));
}

async function removeCutOff(path: string): Promise<void> {
  const found = await stat(path).catch(() => null);
  if (found !== null && Date.now() - found.mtimeMs > CUT_OFF_MS) await remove(path);
}

async function cleanUpRun(folder: string, hasVerdictKeep: boolean): Promise<void> {
  if (!hasVerdictKeep) await remove(join(folder, 'submission'));
  for (const attempt of await entries(folder)) {
    if (/^(train|score)-/.test(attempt)) await shorten(join(folder, attempt));
  }
}

async function shorten(folder: string): Promise<void> {
  for (const name of await entries(folder)) {
    if (UNNEEDED.test(name)) await remove(join(folder, name));
    else if (LOGS.test(name)) await boundLog(join(folder, name), LOG_BYTES);
  }
}

const remove = (path: string): Promise<void> => rm(path, { recursive: true, force: true });

async function entries(path: string): Promise<string[]> {
  try {
    return await readdir(path);
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(errorCode(error) ?? '')) return [];
    throw error;
  }
}
