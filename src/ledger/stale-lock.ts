/**
 * Locks that a killed git left behind. git writes nothing of its own into a `.lock` file, so its owner cannot be
 * asked for. A lock is called stale when it is older than any ref update takes and no git works on the repository.
 */
import { readdir, readFile, readlink, rm, stat } from 'node:fs/promises';

/** Where processes can be looked at; a ref update takes milliseconds. */
const AGE_MS = 5_000;
/** Where they cannot (macOS, no /proc). */
const BLIND_AGE_MS = 600_000;
/** `core.fsmonitor` has one for as long as the repository is worked in; it looks at files and locks nothing. */
const WATCHER = 'fsmonitor--daemon';

/** Removes a lock file if it is surely stale. Call it for locks of what studies write. */
export async function removeStaleLock(lock: string, repository: string): Promise<void> {
  const found = await stat(lock).catch(() => null);
  if (found === null) return;
  // One from the future was made before the clock was put back.
  const age = Math.abs(Date.now() - found.mtimeMs);
  if (age < AGE_MS) return;
  const working = await gitWorksOn(repository);
  if (working === null ? age >= BLIND_AGE_MS : !working) await rm(lock, { force: true });
}

/** Is there a git process at work in the repository? null where that cannot be known. */
async function gitWorksOn(repository: string): Promise<boolean | null> {
  const processes = await readdir('/proc').catch(() => null);
  if (processes === null) return null;
  for (const pid of processes) {
    if (!/^\d+$/.test(pid)) continue;
    const name = await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => '');
    if (!name.startsWith('git')) continue;
    const folder = await readlink(`/proc/${pid}/cwd`).catch(() => '');
    const commandLine = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
    if (commandLine.split('\0').includes(WATCHER)) continue;
    if (`${folder}/`.startsWith(`${repository}/`) || commandLine.includes(repository)) return true;
  }
  return false;
}
