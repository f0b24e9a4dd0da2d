/** Mends what is derived from the records, and says what it did. Records are never written. */
import { BranchCheckedOut, moveLedger, placeBranch } from '../branch';
import { RefConflict, type Git } from '../git';
import { RESULTS } from '../ledger';
import { editTree, writeBlob, writeCommit } from '../objects';
import { branchName, branchRef } from '../refs';
import { short, type Difference, type Repair } from './difference';

export interface Repaired {
  /** One line for each thing that was mended. */
  done: string[];
  /** One line for each that could not be: moved by somebody else meanwhile, or checked out. */
  left: string[];
}

export async function repairStudy(
  git: Git,
  tag: string,
  differences: readonly Difference[],
): Promise<Repaired> {
  const repaired: Repaired = { done: [], left: [] };
  // Rows of results.tsv share one repair, the whole table's.
  for (const repair of new Set(differences.map((difference) => difference.repair))) {
    if (repair === null) continue;
    try {
      repaired.done.push(await mend(git, tag, repair));
    } catch (error) {
      if (!(error instanceof RefConflict) && !(error instanceof BranchCheckedOut)) throw error;
      repaired.left.push(error.message);
    }
  }
  return repaired;
}

async function mend(git: Git, tag: string, repair: Repair): Promise<string> {
  if (repair.kind === 'results') return mendResults(git, tag, repair.head, repair.text);
  const { ref, from, to } = repair;
  if (ref !== branchRef(tag)) {
    await git.moveRef(ref, to, from);
    return `made ${ref} at ${short(to)}`;
  }
  await placeBranch(git, tag, to, from);
  const branch = branchName(tag);
  return from === null
    ? `made ${branch} at ${short(to)}`
    : `moved ${branch} to ${short(to)}; it was at ${from}: \`git branch mine ${short(from)}\` keeps that`;
}

/** A commit of its own on the ledger, which touches nothing else. */
async function mendResults(git: Git, tag: string, head: string, text: string): Promise<string> {
  const id = await writeBlob(git, text);
  const tree = await editTree(git, head, [{ path: RESULTS, mode: '100644', id }]);
  const message = `Mend ${RESULTS} from the records\n\nStudy: ${tag}\nMended: ${RESULTS}\n`;
  const commit = await writeCommit(git, { tree, parent: head, message, at: new Date().toISOString() });
  await moveLedger(git, tag, commit, head);
  return `made ${RESULTS} anew from the records (${short(commit)})`;
}
