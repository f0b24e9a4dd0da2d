/** The runs whose initial weights a run's must differ from: those of the commit that it builds on, and its experiment's own. */
import { runSeed, type SeededRun } from '../domain/seed';
import { Git } from '../lab/git';
import { readRecord } from '../lab/ledger';
import { attemptsOf } from './attempts';
import type { TrainInput } from './interface';

export async function comparableRuns(input: TrainInput): Promise<SeededRun[]> {
  return [...(await runsOfParent(input)), ...(await earlierRuns(input))];
}

/** The candidate's one parent is the incumbent, whose message names its experiment; the lab's base has none. */
async function runsOfParent({ study, commit }: TrainInput): Promise<SeededRun[]> {
  const git = new Git(study.lab);
  const said = await git.text([
    'show',
    '--no-patch',
    '--format=%H %(trailers:key=Experiment,valueonly)',
    `${commit}^`,
  ]);
  const [, parent, number] = /^(\S+) (\d+)$/m.exec(said) ?? [];
  if (number === undefined) return [];
  const record = await readRecord(git, study.tag, Number(number));
  return record !== null && record.commit === parent ? record.runs : [];
}

async function earlierRuns(input: TrainInput): Promise<SeededRun[]> {
  const { study, number } = input;
  const runs = Array.from({ length: input.run - 1 }, (_, index) => index + 1);
  const found = await Promise.all(
    runs.map(async (run) => {
      const last = (await attemptsOf({ ...input, run }, 'train')).at(-1);
      return { seed: runSeed(study.tag, number, run), initialWeights: last?.status?.initialWeights ?? null };
    }),
  );
  return found;
}
