/**
 * Moves the study's two branches: its own, which points to the incumbent and only moves forward, and its ledger. Neither move
 * changes files in a user's working tree.
 */
import { Git, GitError, RefConflict } from './git';
import { branchName, branchRef, ledgerRef } from './refs';
import { listWorktrees } from './worktrees';

/** The branch is checked out, so that moving it would change the user's files. */
export class BranchCheckedOut extends Error {
  override name = 'BranchCheckedOut';
}

/** Someone else moved the branch. */
export class BranchMoved extends Error {
  override name = 'BranchMoved';
}

/**
 * Moves the study's branch forward to `target`, from any earlier commit of its history, or creates it.
 * @throws BranchCheckedOut, BranchMoved, RefConflict
 */
export async function advanceBranch(git: Git, tag: string, target: string): Promise<void> {
  const branch = branchName(tag);
  const current = await git.resolve(branchRef(tag));
  if (current === target) return;
  if (current !== null && (await git.answer(['merge-base', '--is-ancestor', current, target])) === null) {
    throw new BranchMoved(
      `${branch} is at ${current.slice(0, 7)}, which is no ancestor of the incumbent ${target.slice(0, 7)}: someone moved it. ` +
        `Save that commit under another name (\`git branch mine ${branch}\`) and run \`git branch -f ${branch} ${target.slice(0, 12)}\`; the study then continues by itself`,
    );
  }
  await placeBranch(git, tag, target, current);
}

/**
 * Moves the study's branch from `current` (null: it must not exist) to any `target`.
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
        `run \`git switch --detach\` or check out another branch there; the study then continues by itself`,
    );
  }
  await git.moveRef(ref, target, current);
}

/**
 * Moves the ledger from `expected` to `next`. A record must not wait for a user who has the ledger checked out: that working
 * tree gets a detached HEAD at the commit it shows. Its files and index stay as they are, and commits there are no part of the
 * ledger.
 * @throws RefConflict
 */
export async function moveLedger(git: Git, tag: string, next: string, expected: string): Promise<void> {
  const ref = ledgerRef(tag);
  for (const path of await treesOn(git, ref)) {
    await new Git(path).moveRef('HEAD', expected, expected).catch((error: unknown) => {
      // The tree was just switched, is gone, or its HEAD is locked: then git shows changes there, and nothing is lost.
      if (!(error instanceof RefConflict) && !(error instanceof GitError)) throw error;
    });
  }
  await git.moveRef(ref, next, expected);
}

/** The paths of the working trees that have a branch checked out. */
async function treesOn(git: Git, ref: string): Promise<string[]> {
  const trees = await listWorktrees(git);
  return trees.filter(({ branch }) => branch === ref).map(({ path }) => path);
}
