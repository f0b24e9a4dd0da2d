/** Candidate commits: one for each experiment, kept for ever, and the same hash however often they are made. */
import { experimentName } from '../domain/experiment';
import type { Git } from './git';
import { messageText, writeCommit } from './objects';
import { crashedRef, experimentRef } from './refs';

export interface Candidate {
  tag: string;
  number: number;
  /** The commit that it is tried against: its parent. */
  incumbent: string;
  /** Its tree; the incumbent's own for the baseline and for rejected edits. */
  tree: string;
  title: string;
  hypothesis: string;
  /** Why its edits were not applied; null if they were. */
  rejected: string | null;
  /** ISO 8601. */
  at: string;
}

/**
 * Makes the commit of an experiment, or finds it. One that differs in its date only is the same: an experiment
 * that was cut off and begun again keeps its first commit, also when a repair has taken its place since. Another
 * candidate takes the place of one that was never recorded.
 * @throws RefConflict if two workers keep different candidates for one number at the same time
 */
export async function keepCandidate(git: Git, candidate: Candidate): Promise<string> {
  const { tag, number, incumbent, tree, at } = candidate;
  const message = candidateMessage(candidate);
  const ref = experimentRef(tag, number);
  const kept = await git.resolve(`${ref}^{commit}`);
  const known = [...(kept === null ? [] : [kept]), ...(await crashedCandidates(git, tag, number))];
  const same = await findDescribed(git, known, `${tree}\n${incumbent}\n${message}`);
  if (same !== null && same === kept) return kept;
  const commit = same ?? (await writeCommit(git, { tree, parent: incumbent, message, at }));
  await git.moveRef(ref, commit, kept);
  return commit;
}

/** The experiment's candidates whose place a repair has taken, the first one first. */
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

/** In whole seconds, as ISO 8601. */
export async function dateOf(git: Git, commit: string): Promise<string> {
  return git.text(['show', '--no-patch', '--format=tformat:%cI', commit]);
}

/** Keeps a candidate that crashed, before its repair takes its place. */
export async function keepCrashed(
  git: Git,
  tag: string,
  number: number,
  repair: number,
  commit: string,
): Promise<void> {
  const ref = crashedRef(tag, number, repair);
  const kept = await git.resolve(ref);
  if (kept !== commit) await git.moveRef(ref, commit, kept);
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
  // As git gives it back: what is found again is told by its words.
  return `${paragraphs.filter(Boolean).join('\n\n')}\n`.toWellFormed();
}

/** What a commit changed, as a patch; empty for the baseline and for rejected edits. */
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
