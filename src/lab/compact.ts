/** Keeps the lab's git small: every record adds a tree as long as the study, which packs to almost nothing. */
import type { Git } from './git';

const EVERY = 100;

/**
 * Packs loose objects and refs from time to time. Nothing is ever dropped, reachable or not: what the user's
 * own `git gc` would do stays theirs to decide.
 */
export async function compact(git: Git, number: number): Promise<void> {
  if (number % EVERY !== EVERY - 1) return;
  await git.bytes(['repack', '--quiet', '-d', '--geometric=2']);
  await git.bytes(['pack-refs', '--all']);
}
