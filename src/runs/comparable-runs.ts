/** Finds the runs that show whether a run's seed has an effect: those of its own commit and of its parent. */
import type { ComparableRuns, SeededRun } from '../domain/seed';
import { Git } from '../ledger/git';
import { readRecord } from '../ledger/ledger';
import { attemptsOf } from './attempts';
import type { TrainInput } from '../domain/run';
import { identityOfRun } from './watch';

export async function comparableRuns(input: TrainInput): Promise<ComparableRuns> {
  return { own: await earlierRuns(input), parent: await runsOfParent(input) };
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
  return record?.runs.filter((run) => run.commit === parent && run.failure === null) ?? [];
}

/** An experiment's earlier runs of the same commit; a repair has another one. */
async function earlierRuns(input: TrainInput): Promise<SeededRun[]> {
  const { commit } = input;
  const found: SeededRun[] = [];
  for (let run = 1; run < input.run; run++) {
    const earlier = { ...input, run };
    const identity = await identityOfRun(earlier);
    if (identity?.commit !== commit) continue;
    const status = (await attemptsOf(earlier, 'train')).at(-1)?.status;
    const { initialWeights = null, weights = null } = status ?? {};
    found.push({ seed: identity.seed, initialWeights, weights });
  }
  return found;
}
