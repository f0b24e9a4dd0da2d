/** Checks free disk space before something writes. */
import { existsSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { dirname } from 'node:path';

export interface Need {
  /** What the folder is, for messages: `the state folder`. */
  what: string;
  folder: string;
  bytes: number;
}

/** Too little free space. Retried, so work continues once there is enough. */
class NoRoom extends Error {
  override name = 'NoRoom';
}

/** Free bytes for this user on the disk of `folder`, which may not exist yet. */
export async function freeBytes(folder: string): Promise<number> {
  let existing = folder;
  while (!existsSync(existing)) existing = dirname(existing);
  const { bavail, bsize } = await statfs(existing);
  return bavail * bsize;
}

/** @throws NoRoom for the first folder with too little space */
export async function requireRoom(needs: readonly Need[]): Promise<void> {
  for (const { what, folder, bytes } of needs) {
    const free = await freeBytes(folder);
    if (free >= bytes) continue;
    throw new NoRoom(
      `waiting for disk space: ${megabytes(free)} MB free in ${what} ${folder}, a run needs ${megabytes(bytes)} MB. ` +
        'Free some space: the study then continues without a command',
    );
  }
}

const megabytes = (bytes: number): number => Math.ceil(bytes / 1e6);
