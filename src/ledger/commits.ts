/** Candidate commits: one for each experiment. A ref preserves each one, and the same candidate always gives the same hash. */
import { experimentName } from '../domain/experiment';
import type { Git } from './git';
import { messageText, writeCommit } from './objects';
import { crashedRef, experimentRef } from './refs';

export interface Candidate {
  tag: string;
  number: number;
  /** Its parent commit, which it is compared with. */
  incumbent: string;
  /** Its tree; the incumbent's for the baseline and for rejected edits. */
  tree: string;
  title: string;
  hypothesis: string;
  /** Why its edits were not applied; null if they were. */
  rejected: string | null;
  /** Commit date, ISO 8601. */
  at: string;
}

/**
 * Makes the commit of an experiment, or finds it. Candidates that differ only in their date are the same: an experiment that
 * was interrupted and begun again reuses its first commit, also after a repair replaced it. Another candidate replaces one
 * that was never recorded.
 * @returns the commit's id
 * @throws RefConflict if two workers store different candidates for one number at the same time
 */
export async function storeCandidate(git: Git, candidate: Candidate): Promise<string> {
  const { tag, number, incumbent, tree, at } = candidate;
  const message = candidateMessage(candidate);
  const ref = experimentRef(tag, number);
  const stored = await git.resolve(`${ref}^{commit}`);
  const known = [...(stored === null ? [] : [stored]), ...(await crashedCandidates(git, tag, number))];
  const same = await findDescribed(git, known, `${tree}\n${incumbent}\n${message}`);
  if (same !== null && same === stored) return stored;
  const commit = same ?? (await writeCommit(git, { tree, parent: incumbent, message, at }));
  await git.moveRef(ref, commit, stored);
  return commit;
}

/** The experiment's crashed candidates that repairs replaced, oldest first. */
async function crashedCandidates(git: Git, tag: string, number: number): Promise<string[]> {
  const commits: string[] = [];
  for (;;) {
    const commit = await git.resolve(`${crashedRef(tag, number, commits.length + 1)}^{commit}`);
    if (commit === null) return commits;
    commits.push(commit);
  }
}

async function findDescribed(git: Git, commits: readonly string[], what: string): Promise<string | null> {
  for (const commit of commits) if ((await describe(git, commit)) === what) return commit;
  return null;
}

/** A commit's date as ISO 8601, in whole seconds. */
export async function dateOf(git: Git, commit: string): Promise<string> {
  return git.text(['show', '--no-patch', '--format=tformat:%cI', commit]);
}

/** Stores a crashed candidate under a ref of its own, before its repair replaces it. */
export async function storeCrashed(
  git: Git,
  tag: string,
  number: number,
  repair: number,
  commit: string,
): Promise<void> {
  const ref = crashedRef(tag, number, repair);
  const stored = await git.resolve(ref);
  if (stored !== commit) await git.moveRef(ref, commit, stored);
}

async function describe(git: Git, commit: string): Promise<string> {
  return (await git.bytes(['show', '--no-patch', '--format=tformat:%T%n%P%n%B', commit]))
    .toString('utf8')
    .replace(/\n$/, '');
}

function candidateMessage({ tag, number, title, hypothesis, rejected }: Candidate): string {
  const trailers = [`Study: ${tag}`, `Experiment: ${experimentName(number)}`];
  if (rejected !== null) trailers.push(`Rejected: ${rejected}`);
  const paragraphs = [title, messageText(hypothesis), trailers.join('\n')];
  // The exact text that git returns, since `describe` compares it.
  return `${paragraphs.filter(Boolean).join('\n\n')}\n`.toWellFormed();
}

/** A commit's patch; empty for the baseline and for rejected edits. */
export async function diff(git: Git, commit: string): Promise<string> {
  return git.text([
    'diff-tree',
    '--patch',
    '--no-color',
    '--no-ext-diff',
    '--no-textconv',
    '--no-commit-id',
    '--root',
    commit,
  ]);
}
