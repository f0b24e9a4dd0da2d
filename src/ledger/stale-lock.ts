/**
 * Removes locks that a killed git left behind. git does not write its pid into a `.lock` file. A lock counts as stale when it is
 * older than any ref update takes and no git process works on the repository.
 */
import { readdir, readFile, readlink, rm, stat } from 'node:fs/promises';

/** For systems with /proc; a ref update takes milliseconds. */
const AGE_MS = 5_000;
/** For systems without /proc (macOS). */
const BLIND_AGE_MS = 600_000;
/** With `core.fsmonitor` this git process runs all the time; it watches files and locks nothing. */
const WATCHER = 'fsmonitor--daemon';

/** Removes a lock file if it is certainly stale. Call it only for files that studies write. */
export async function removeStaleLock(lock: string, repository: string): Promise<void> {
  const found = await stat(lock).catch(() => null);
  if (found === null) return;
  // A lock from the future was made before the clock was set back.
  const age = Math.abs(Date.now() - found.mtimeMs);
  if (age < AGE_MS) return;
  const working = await gitWorksOn(repository);
  if (working === null ? age >= BLIND_AGE_MS : !working) await rm(lock, { force: true });
}

/** True if a git process works on the repository; null when the system cannot tell. */
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
