/**
 * The lock of a device in use. All users and installations of a host share its GPUs, so a GPU's lock lies in a shared
 * folder. The CPU is shared anyway: its lock only serializes the runs of one installation.
 */
import { chmod, lstat, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { errorCode } from '../process/error-code';
import { stateRoot } from '../process/paths';
import { gpuMinor, isGpu } from './gpu-file';

/** Not in a user's runtime folder, and not in /dev/shm, where a user's files are deleted at logout. */
const SHARED = '/tmp/autoresearch-devices';
/** All users may add lock files; only the owner may remove one. */
const STICKY = 0o1777;

/** @throws Error if the shared folder's path is anything but a shared folder */
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
    // The umask restricts mkdir's mode, and the process that made the folder may have died before its chmod.
    if (!isShared) await chmod(folder, STICKY);
    return;
  }
  throw new Error(
    `${folder} must be a folder with mode 1777, for the locks of this host's GPUs: remove what is there`,
  );
}
