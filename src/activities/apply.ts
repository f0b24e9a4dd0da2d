/** Turns a proposal into the experiment's commit. Edits that break a rule give an empty commit and a failure. */
import type { Failure } from '../domain/experiment';
import { applyEdits, EditRejected } from '../lab/apply-edits';
import { keepCandidate } from '../lab/commits';
import { readProposal, type Proposal } from '../lab/edits';
import { Git } from '../lab/git';
import { readLabConfigAt } from '../lab/lab';
import { readRecord } from '../lab/ledger';
import { withFailures } from './failures';
import type { Applied, ApplyInput, ControlActivities } from './interface';

const BASELINE: Proposal = { format: 1, title: 'baseline', hypothesis: '', edits: [] };

export function createApply(): ControlActivities['apply'] {
  return async (input) => withFailures(() => apply(input));
}

async function apply({ study, number, incumbent, proposal, at }: ApplyInput): Promise<Applied> {
  const git = new Git(study.lab);
  const recorded = await readRecord(git, study.tag, number);
  // A verdict was reached on that commit: done again, the experiment is still the same one.
  if (recorded !== null)
    return {
      commit: recorded.commit,
      failure: recorded.failure?.reason === 'rejected' ? recorded.failure : null,
    };
  const own = await git.text(['rev-parse', `${incumbent}^{tree}`]);
  const { title, hypothesis, edits } = proposal === null ? BASELINE : await readProposal(git, proposal);
  let tree = own;
  let rejected: string | null = null;
  if (proposal !== null) {
    try {
      tree = await applyEdits(git, incumbent, edits, await readLabConfigAt(git, study.base));
    } catch (error) {
      if (!(error instanceof EditRejected)) throw error;
      rejected = error.message;
    }
  }
  const commit = await keepCandidate(git, {
    tag: study.tag,
    number,
    incumbent,
    tree,
    title,
    hypothesis,
    rejected,
    at,
  });
  return { commit, failure: rejected === null ? null : rejection(rejected) };
}

function rejection(message: string): Failure {
  return { reason: 'rejected', message: message.slice(0, 200), tail: '' };
}
