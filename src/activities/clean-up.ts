/** After an experiment: takes away what its runs no longer need. Logs and statuses stay, and the weights of what was kept. */
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { experimentName, type ExperimentRecord } from '../domain/experiment';
import { studyState } from '../process/paths';

/** `tree.partial-…` is an export that was cut off. */
const UNNEEDED = /^(tree(\.partial-.*)?|scratch|out)$/;

/** May be called again; a run whose folder is gone is no error. */
export async function cleanUpRuns(
  { study, number, verdict }: ExperimentRecord,
  labId: string,
): Promise<void> {
  const experiment = join(studyState(labId, study), 'runs', experimentName(number));
  for (const run of await subfolders(experiment)) {
    const folder = join(experiment, run);
    if (verdict !== 'keep') await remove(join(folder, 'handin'));
    for (const attempt of await subfolders(folder)) {
      if (!/^(train|score)-/.test(attempt)) continue;
      const left = (await subfolders(join(folder, attempt))).filter((name) => UNNEEDED.test(name));
      await Promise.all(left.map((name) => remove(join(folder, attempt, name))));
    }
  }
}

const remove = (path: string): Promise<void> => rm(path, { recursive: true, force: true });

async function subfolders(path: string): Promise<string[]> {
  const entries = await readdir(path, { withFileTypes: true }).catch(() => []);
  return entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
}
