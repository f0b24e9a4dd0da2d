/** The end of an experiment: verdict and row into the ledger, then the branch (keep) or not (reset), then clean up. */
import { log } from '@temporalio/activity';
import { summarize, type ExperimentRecord } from '../domain/experiment';
import { advanceBranch } from '../lab/branch';
import { compact } from '../lab/compact';
import { readProposal } from '../lab/edits';
import { Git } from '../lab/git';
import { appendRecord } from '../lab/ledger';
import { branchRef } from '../lab/refs';
import { withFailures } from './failures';
import type { ControlActivities, Recorded, RecordInput } from './interface';

export interface RecordDependencies {
  /** Removes what an experiment's runs no longer need; logs and statuses stay. */
  cleanUp(record: ExperimentRecord, labId: string): Promise<void>;
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
  const { commit: ledger, record: kept } = await appendRecord(git, { ...study, limits }, made);
  const branch = await followVerdict(git, kept);
  await dependencies.cleanUp(kept, study.labId);
  // Only housekeeping: the record is made, and the next hundredth tries again.
  await compact(git, kept.number).catch((error: unknown) =>
    log.warn('the lab was not packed', { error: String(error) }),
  );
  return { summary: summarize(kept), ledger, branch };
}

async function recordOf(git: Git, input: RecordInput): Promise<ExperimentRecord> {
  const { study, number, commit, incumbent, proposal, decision, failure, runs } = input;
  const proposed =
    proposal === null ? { title: 'baseline', hypothesis: '' } : await readProposal(git, proposal);
  return {
    format: 1,
    study: study.tag,
    number,
    commit,
    incumbent: incumbent?.commit ?? study.base,
    researcher: number === 0 ? 'baseline' : study.researcher,
    title: proposed.title,
    hypothesis: proposed.hypothesis,
    verdict: decision.verdict,
    reason: decision.reason,
    detail: decision.detail,
    failure,
    score: runs.at(-1)?.score ?? null,
    incumbentScore: incumbent?.score ?? null,
    runs,
    budget: study.budget,
    startedAt: input.startedAt,
    finishedAt: input.finishedAt,
    dollars: input.dollars,
    fingerprint: input.fingerprint,
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
