/** The end of an experiment: verdict and row into the ledger, then the branch (keep) or not (reset), then clean up. */
import { log } from '@temporalio/activity';
import { gpuSeconds, summarize, type ExperimentRecord, type Research } from '../domain/experiment';
import { newIdeas } from '../domain/ideas';
import { addUsage, gpuCost } from '../domain/money';
import type { StudyConfig } from '../domain/study';
import { NOTHING_WAITS, takenBy } from '../domain/waiting';
import { advanceBranch } from '../ledger/branch';
import { compact } from '../ledger/compact';
import { readProposal, type Proposal } from '../ledger/proposals';
import { Git } from '../ledger/git';
import { appendRecord } from '../ledger/ledger';
import { branchRef } from '../ledger/refs';
import { MOST_NOTED } from '../ledger/research';
import { withFailures } from './failures';
import type { ControlActivities, Recorded, RecordInput } from './interface';

export interface RecordDependencies {
  /** Removes what an experiment's runs no longer need; logs and statuses stay. */
  cleanUp(record: ExperimentRecord, study: StudyConfig): Promise<void>;
}

export function createRecord(dependencies: RecordDependencies): ControlActivities['record'] {
  return async (input) => withFailures(() => record(dependencies, input));
}

/**
 * The ledger comes first, for it is the truth: whatever comes after an interruption follows the record that it
 * holds, which may be an earlier one than ours.
 */
async function record(dependencies: RecordDependencies, input: RecordInput): Promise<Recorded> {
  const { study, limits } = input;
  const git = new Git(study.lab);
  const made = await recordOf(git, input);
  // What waited when the study began is taken in, or waits in the workflow.
  const { commit: ledger, record: kept } = await appendRecord(
    git,
    { ...study, limits, waiting: NOTHING_WAITS },
    made,
  );
  const branch = await followVerdict(git, kept);
  await dependencies.cleanUp(kept, study);
  // Only housekeeping: the record is made, and the next hundredth tries again.
  await compact(git, kept.number).catch((error: unknown) =>
    log.warn('the lab was not packed', { error: String(error) }),
  );
  return { summary: summarize(kept), taken: takenBy(kept), ledger, branch };
}

async function recordOf(git: Git, input: RecordInput): Promise<ExperimentRecord> {
  const { study, number, commit, incumbent, decision, failure, runs, repairs, taken } = input;
  const proposals = await Promise.all(input.proposals.map((id) => readProposal(git, id)));
  const [first] = proposals;
  return {
    format: 2,
    study: study.tag,
    number,
    commit,
    incumbent: incumbent?.commit ?? study.base,
    researcher: number === 0 ? 'baseline' : (first?.researcher ?? study.researcher),
    title: first?.title ?? 'baseline',
    hypothesis: first?.hypothesis ?? '',
    research: researchOf(proposals),
    ideas: newIdeas(number, taken.ideas, ideasOf(proposals)),
    droppedIdeas: taken.droppedIdeas,
    verdict: decision.verdict,
    reason: decision.reason,
    detail: decision.detail,
    failure,
    score: decision.score,
    incumbentScore: incumbent?.score ?? null,
    runs,
    repairs,
    repeatsRefused: proposals.reduce((sum, { repeatsRefused = 0 }) => sum + repeatsRefused, 0),
    policy: study.policy,
    budget: study.budget,
    startedAt: input.startedAt,
    finishedAt: input.finishedAt,
    dollars: input.dollars,
    gpuDollars: gpuCost(gpuSeconds(runs), study.gpuHourDollars),
    seal: input.seal,
    class: input.class,
  };
}

/** The change, and its repairs that were not given up. */
const triedOf = (proposals: readonly Proposal[]): Proposal[] =>
  proposals.filter(({ gaveUp }) => gaveUp === undefined);

/** A repair may say again what came with the change, which it is not shown. */
const ideasOf = (proposals: readonly Proposal[]): string[] => [
  ...new Set(triedOf(proposals).flatMap(({ ideas = [] }) => ideas)),
];

/** What came with the change, and the knobs and ranges of its repairs; the meaning is the last one's, the tokens are everybody's. */
function researchOf(proposals: readonly Proposal[]): Research | null {
  const [first] = proposals;
  if (first?.research === undefined) return null;
  const tried = triedOf(proposals);
  const noted = tried.flatMap(({ research }) => research ?? []);
  const ranges = new Map(noted.flatMap((research) => research.ranges.map((range) => [range.name, range])));
  const usages = proposals.flatMap(({ research }) => research?.usage ?? []);
  return {
    ...first.research,
    knobs: [...new Set(noted.flatMap(({ knobs }) => knobs))].slice(-MOST_NOTED),
    ranges: [...ranges.values()].slice(-MOST_NOTED),
    meaning: tried.at(-1)?.research?.meaning ?? null,
    usage: usages.length === 0 ? null : usages.reduce(addUsage),
    // All attempts share one spend guard.
    dearestCall: proposals.at(-1)?.research?.dearestCall ?? null,
    assumed: proposals.at(-1)?.research?.assumed ?? null,
  };
}

/** Keep moves the branch, reset leaves it. The baseline is the first incumbent, whatever became of it. */
async function followVerdict(
  git: Git,
  { study, number, verdict, commit, incumbent }: ExperimentRecord,
): Promise<string> {
  if (verdict === 'keep' || number === 0) {
    await advanceBranch(git, study, commit);
    return commit;
  }
  return (await git.resolve(branchRef(study))) ?? incumbent;
}
