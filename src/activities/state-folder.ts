/**
 * A study's state folder is named by the lab's path and the tag, and both may come back: a lab that was deleted and made
 * again at the same place, a tag that was freed. What the earlier study has left there, data, exports and money spent, is
 * put aside whole before the study is opened.
 */
import { mkdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { log } from '@temporalio/activity';
import { z } from 'zod';
import type { ExperimentRecord } from '../domain/experiment';
import type { StudyConfig } from '../domain/study';
import { entriesOf } from '../process/entries';
import { errorCode } from '../process/error-code';
import { readJsonIfWhole, writeJsonAtomic } from '../process/json-file';
import { studyState } from '../process/paths';
import { endRuns } from '../runs/end-runs';
import { pinnedHash } from './prepare-data';
import { endSmokeTest } from './smoke-test';
import { identityOfRun } from '../runs/watch';

const identitySchema = z.strictObject({ base: z.string(), createdAt: z.string() });

/** What a study leaves that would mislead another. */
const LEFT = new Set(['base', 'data.json', 'proposals', 'runs']);

/**
 * Makes the state folder this study's own.
 * @param study as the ledger has it
 * @param last the study's last record
 */
export async function claimStateFolder(
  study: StudyConfig,
  last: ExperimentRecord | undefined,
): Promise<void> {
  const folder = studyState(study.labId, study.tag);
  const file = join(folder, 'study.json');
  const identity = { base: study.base, createdAt: study.createdAt };
  const found = await readJsonIfWhole(file, identitySchema);
  if (isDeepStrictEqual(found, identity)) return;
  if (found !== null || (await isAnothers(study, folder, last))) await putAside(study, folder);
  await mkdir(folder, { recursive: true });
  await writeJsonAtomic(file, identity);
}

/** Version 0.3 did not say whose a folder is: then the data of the last record does, or the base of the baseline's run. */
async function isAnothers(
  study: StudyConfig,
  folder: string,
  last: ExperimentRecord | undefined,
): Promise<boolean> {
  // Without these it is nobody's yet: another attempt may be about to say that it is this study's.
  if (!(await entriesOf(folder)).some((name) => LEFT.has(name))) return false;
  if (last !== undefined && (await pinnedHash(study)) === last.class['data']) return false;
  return (await identityOfRun({ study, number: 0, run: 1 }))?.base !== study.base;
}

async function putAside(study: StudyConfig, folder: string): Promise<void> {
  const numbersIn = async (kind: string): Promise<number[]> =>
    (await entriesOf(join(folder, kind))).filter((name) => /^\d{4,}$/.test(name)).map(Number);
  // Whoever trains there does so for a lab that is gone.
  for (const number of await numbersIn('runs')) await endRuns(study, number);
  for (const number of await numbersIn('proposals')) await endSmokeTest(study, number);
  const aside = `${folder}.replaced-${Date.now()}`;
  try {
    await rename(folder, aside);
    log.warn(`${folder} was another study's: it is ${aside} now`);
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw error;
  }
}
