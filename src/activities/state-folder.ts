/**
 * Claims a study's state folder. Its name comes from the lab's path and the tag, and both can be reused: a lab deleted and
 * created again at the same path, a tag that was freed. A folder of an earlier study (data, exports, spent money) is moved
 * away before the new study opens.
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

/** Files of an earlier study that would mislead another. */
const LEFT = new Set(['base', 'data.json', 'proposals', 'runs']);

/**
 * Makes the state folder this study's own.
 * @param study the configuration in the ledger
 * @param last the study's last record; undefined when it has none
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
  if (found !== null || (await isAnothers(study, folder, last))) await moveAway(study, folder);
  await mkdir(folder, { recursive: true });
  await writeJsonAtomic(file, identity);
}

/** Without study.json, the data of the last record or the base of the baseline's run tell whose the folder is. */
async function isAnothers(
  study: StudyConfig,
  folder: string,
  last: ExperimentRecord | undefined,
): Promise<boolean> {
  // Without these files it belongs to no study yet; another attempt may just be claiming it.
  if (!(await entriesOf(folder)).some((name) => LEFT.has(name))) return false;
  if (last !== undefined && (await pinnedHash(study)) === last.class['data']) return false;
  return (await identityOfRun({ study, number: 0, run: 1 }))?.base !== study.base;
}

async function moveAway(study: StudyConfig, folder: string): Promise<void> {
  const numbersIn = async (kind: string): Promise<number[]> =>
    (await entriesOf(join(folder, kind))).filter((name) => /^\d{4,}$/.test(name)).map(Number);
  // Runs in that folder train for a study that is gone.
  for (const number of await numbersIn('runs')) await endRuns(study, number);
  for (const number of await numbersIn('proposals')) await endSmokeTest(study, number);
  const aside = `${folder}.replaced-${Date.now()}`;
  try {
    await rename(folder, aside);
    log.warn(`${folder} belonged to another study: moved it to ${aside}`);
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw error;
  }
}
