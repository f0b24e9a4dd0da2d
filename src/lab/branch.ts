/** The study's branch: it stands at the incumbent, moves forward only, and never under the user's feet. */
import type { Git } from './git';
import { branchName, branchRef } from './refs';
import { listWorktrees } from './worktree';

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
  const user = (await listWorktrees(git)).find((worktree) => worktree.branch === ref);
  if (user !== undefined) {
    throw new BranchCheckedOut(
      `${branch} is checked out in ${user.path}, and moving it would change the files there: ` +
        `run \`git switch --detach\` or check out another branch there; the study then goes on by itself`,
    );
  }
  await git.moveRef(ref, target, current);
}
