/** Room on the disks that something is about to write to. */
import { existsSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { dirname } from 'node:path';

export interface Need {
  /** What the folder is, in words: `the state folder`. */
  what: string;
  folder: string;
  bytes: number;
}

/** There is too little room: whoever waits and tries again goes on by itself when there is more. */
class NoRoom extends Error {
  override name = 'NoRoom';
}

/** Bytes that this user may still write where `folder` is or will be. */
export async function freeBytes(folder: string): Promise<number> {
  let existing = folder;
  while (!existsSync(existing)) existing = dirname(existing);
  const { bavail, bsize } = await statfs(existing);
  return bavail * bsize;
}

/** @throws NoRoom that names the first folder with too little */
export async function requireRoom(needs: readonly Need[]): Promise<void> {
  for (const { what, folder, bytes } of needs) {
    const free = await freeBytes(folder);
    if (free >= bytes) continue;
    throw new NoRoom(
      `waits for room on the disk: ${megabytes(free)} MB are free in ${what} ${folder}, a run needs ${megabytes(bytes)} MB. ` +
        'Free some, and it goes on by itself',
    );
  }
}

const megabytes = (bytes: number): number => Math.ceil(bytes / 1e6);
