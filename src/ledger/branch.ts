/**
 * The study's branches, of which neither moves under the user's feet: its own stands at the incumbent and moves forward only;
 * the other is its ledger.
 */
import { Git, GitError, RefConflict } from './git';
import { branchName, branchRef, ledgerRef } from './refs';
import { listWorktrees } from './worktrees';

/** Moving the branch would change files in a working tree of the user's. */
export class BranchCheckedOut extends Error {
  override name = 'BranchCheckedOut';
}

/** Somebody else moved the branch. */
export class BranchMoved extends Error {
  override name = 'BranchMoved';
}

/**
 * Brings the branch forward to `target`: from wherever on the way an interruption left it, or from nothing.
 * @throws BranchCheckedOut, BranchMoved, RefConflict
 */
export async function advanceBranch(git: Git, tag: string, target: string): Promise<void> {
  const branch = branchName(tag);
  const current = await git.resolve(branchRef(tag));
  if (current === target) return;
  if (current !== null && (await git.answer(['merge-base', '--is-ancestor', current, target])) === null) {
    throw new BranchMoved(
      `${branch} is at ${current.slice(0, 7)}, which is not on the way to the kept ${target.slice(0, 7)}: somebody moved it. ` +
        `Keep that under another name (\`git branch mine ${branch}\`) and run \`git branch -f ${branch} ${target.slice(0, 12)}\`; the study then goes on by itself`,
    );
  }
  await placeBranch(git, tag, target, current);
}

/**
 * Moves the branch from `current` (null: from nothing) to `target`, wherever that is.
 * @throws BranchCheckedOut, RefConflict
 */
export async function placeBranch(
  git: Git,
  tag: string,
  target: string,
  current: string | null,
): Promise<void> {
  const ref = branchRef(tag);
  const branch = branchName(tag);
  const [path] = await treesOn(git, ref);
  if (path !== undefined) {
    throw new BranchCheckedOut(
      `${branch} is checked out in ${path}, and moving it would change the files there: ` +
        `run \`git switch --detach\` or check out another branch there; the study then goes on by itself`,
    );
  }
  await git.moveRef(ref, target, current);
}

/**
 * Moves the ledger from `expected` to `next`. No record waits until nobody reads the ledger: whoever has it checked out stays
 * at the commit that they read, with a detached HEAD. Their files and index are left as they are, and what they commit there is
 * no part of the ledger.
 * @throws RefConflict
 */
export async function moveLedger(git: Git, tag: string, next: string, expected: string): Promise<void> {
  const ref = ledgerRef(tag);
  for (const path of await treesOn(git, ref)) {
    await new Git(path).moveRef('HEAD', expected, expected).catch((error: unknown) => {
      // It was switched just now, its folder is gone, or somebody holds its HEAD: then it is their tree that looks changed.
      if (!(error instanceof RefConflict) && !(error instanceof GitError)) throw error;
    });
  }
  await git.moveRef(ref, next, expected);
}

/** The working trees that have a branch checked out. */
async function treesOn(git: Git, ref: string): Promise<string[]> {
  const trees = await listWorktrees(git);
  return trees.filter(({ branch }) => branch === ref).map(({ path }) => path);
}
