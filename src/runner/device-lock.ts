/**
 * The lock that whoever uses a device holds. A GPU is one for the host, whatever user or installation wants it, so its
 * lock lies where all can reach it. The CPU is shared anyway: one run at a time is enough for each installation.
 */
import { chmod, lstat, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { errorCode } from '../process/error-code';
import { stateRoot } from '../process/paths';
import { gpuMinor, isGpu } from './gpu-file';

/** Not in a user's own runtime folder. Not in /dev/shm: a user's files there go when the user logs out. */
const SHARED = '/tmp/autoresearch-devices';
/** Everybody may add a lock file, and nobody may take another's away. */
const STICKY = 0o1777;

/** @throws Error if somebody has put something else in the place of the shared folder */
export async function deviceLock(device: string, shared = SHARED): Promise<string> {
  if (!isGpu(device)) return join(stateRoot(), 'devices', `${device}.lock`);
  await makeShared(shared);
  const minor = gpuMinor(device);
  return join(shared, `${minor === null ? device.replace(':', '-') : `nvidia${minor}`}.lock`);
}

async function makeShared(folder: string): Promise<void> {
  try {
    await mkdir(folder);
  } catch (error) {
    if (errorCode(error) !== 'EEXIST') throw error;
  }
  const found = await lstat(folder);
  const isShared = (found.mode & STICKY) === STICKY;
  if (found.isDirectory() && (isShared || found.uid === process.getuid?.())) {
    // mkdir's own mode is subject to the umask, and whoever was to mend that may have been killed before.
    if (!isShared) await chmod(folder, STICKY);
    return;
  }
  throw new Error(
    `${folder} holds the locks of this host's GPUs and should be a folder that all may write to (mode 1777): remove it`,
  );
}
