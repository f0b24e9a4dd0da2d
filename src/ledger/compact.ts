/** Packs the lab's git: every record adds a tree that grows with the study, and packed trees take almost no space. */
import { join } from 'node:path';
import type { Git } from './git';
import { removeStaleLock } from './stale-lock';

/** Experiments between two packings. */
const EVERY = 100;
/** Files that a killed `git pack-refs` leaves; while one exists, git can neither pack refs nor delete a branch. */
const LEFT = ['packed-refs.new', 'packed-refs.lock'];

/**
 * Packs loose objects and refs every EVERY experiments. It drops nothing, reachable or not: running `git gc` is the user's
 * decision.
 * @param number of the experiment that was just recorded
 */
export async function compact(git: Git, number: number): Promise<void> {
  // At each record: stale locks disturb the user's git long before the next packing.
  const repository = await git.text(['rev-parse', '--path-format=absolute', '--git-common-dir']);
  for (const name of LEFT) await removeStaleLock(join(repository, name), git.directory);
  if (number % EVERY !== EVERY - 1) return;
  await git.bytes(['repack', '--quiet', '-d', '--geometric=2']);
  await git.bytes(['pack-refs', '--all']);
}
