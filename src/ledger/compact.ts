/** Keeps the lab's git small: every record adds a tree as long as the study, which packs to almost nothing. */
import { join } from 'node:path';
import type { Git } from './git';
import { removeStaleLock } from './stale-lock';

const EVERY = 100;
/** What a killed `git pack-refs` leaves; while either is there, nobody packs refs or deletes a branch. */
const LEFT = ['packed-refs.new', 'packed-refs.lock'];

/**
 * Packs loose objects and refs from time to time. Nothing is ever dropped, reachable or not: what the user's
 * own `git gc` would do stays theirs to decide.
 */
export async function compact(git: Git, number: number): Promise<void> {
  // At each record: the user's git stumbles over them long before the next packing.
  const repository = await git.text(['rev-parse', '--path-format=absolute', '--git-common-dir']);
  for (const name of LEFT) await removeStaleLock(join(repository, name), git.directory);
  if (number % EVERY !== EVERY - 1) return;
  await git.bytes(['repack', '--quiet', '-d', '--geometric=2']);
  await git.bytes(['pack-refs', '--all']);
}
