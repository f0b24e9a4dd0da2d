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
 * that was cut off and begun again keeps its first commit. Another candidate takes the place of one that was
 * never recorded.
 * @throws RefConflict if two workers keep different candidates for one number at the same time
 */
export async function keepCandidate(git: Git, candidate: Candidate): Promise<string> {
  const { tag, number, incumbent, tree, at } = candidate;
  const message = candidateMessage(candidate);
  const ref = experimentRef(tag, number);
  const kept = await git.resolve(`${ref}^{commit}`);
  if (kept !== null && (await describe(git, kept)) === `${tree}\n${incumbent}\n${message}`) return kept;
  const commit = await writeCommit(git, { tree, parent: incumbent, message, at });
  await git.moveRef(ref, commit, kept);
  return commit;
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
  return `${paragraphs.filter(Boolean).join('\n\n')}\n`;
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
