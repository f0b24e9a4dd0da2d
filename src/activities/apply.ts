/** Turns a proposal into the experiment's commit. Edits that break a rule give an empty commit and a failure. */
import type { Failure, Reason } from '../domain/experiment';
import { applyEdits, EditRejected } from '../labs/apply-edits';
import { dateOf, storeCandidate, storeCrashed } from '../ledger/commits';
import { readProposal, type Proposal } from '../ledger/proposals';
import { Git } from '../ledger/git';
import { readLabConfigAt } from '../labs/lab';
import { readRecord } from '../ledger/ledger';
import { tooMuchData } from '../researchers/novelty';
import { withFailures } from './failures';
import type { Applied, ApplyInput, ControlActivities } from './interface';

/** Reasons that come before any run. */
const NOT_TRIED = new Set<Reason>(['rejected', 'no-proposal']);
const BASELINE: Proposal = { format: 1, title: 'baseline', hypothesis: '', edits: [] };

export function createApply(): ControlActivities['apply'] {
  return async (input) => withFailures(() => apply(input));
}

async function apply({ study, number, incumbent, proposal, repair, at }: ApplyInput): Promise<Applied> {
  const git = new Git(study.lab);
  const recorded = await readRecord(git, study.tag, number);
  // A verdict was reached on that commit: done again, the experiment is still the same one.
  if (recorded !== null)
    return {
      commit: recorded.commit,
      failure: NOT_TRIED.has(recorded.reason) ? recorded.failure : null,
    };
  const { title, hypothesis, edits, gaveUp } =
    proposal === null ? BASELINE : await readProposal(git, proposal);
  let tree = await git.text(['rev-parse', `${incumbent}^{tree}`]);
  let rejected: string | null = gaveUp ?? null;
  if (proposal !== null && rejected === null) {
    try {
      const from = repair?.commit ?? incumbent;
      const lab = await readLabConfigAt(git, study.base);
      const edited = await applyEdits(git, from, edits, lab);
      rejected = await tooMuchData(git, study.base, edited, lab, new AbortController().signal);
      if (rejected === null) tree = edited;
    } catch (error) {
      if (!(error instanceof EditRejected)) throw error;
      rejected = error.message;
    }
  }
  if (repair !== null) await storeCrashed(git, study.tag, number, repair.attempt, repair.commit);
  // Its hash must not depend on when the experiment was begun: done again, nothing but the crashed candidate is known.
  const date = repair === null ? at : await dateOf(git, repair.commit);
  const commit = await storeCandidate(git, {
    tag: study.tag,
    number,
    incumbent,
    tree,
    title,
    hypothesis,
    rejected,
    at: date,
  });
  return { commit, failure: rejected === null ? null : notTried(rejected, gaveUp !== undefined) };
}

/** Of a commit that changes nothing: its edits broke a rule, or there were none. */
function notTried(message: string, gaveUp: boolean): Failure {
  return {
    reason: gaveUp ? 'no-proposal' : 'rejected',
    message: message.replace(/\s+/g, ' ').slice(0, 200),
    tail: gaveUp ? message : '',
  };
}
