/** Who belongs to whom among the processes of this host. */
import { execFileSync } from 'node:child_process';
import { ownerOf, type Owner } from '../../src/process/owner';

/** A process and all that it has started, the sandbox's processes too. */
export function family(pid: number): Owner[] {
  const lines = execFileSync('ps', ['-eo', 'pid=,ppid='], { encoding: 'utf8' }).trim().split('\n');
  const processes = lines.map((line) => line.trim().split(/\s+/).map(Number));
  const pids = [pid];
  for (const parent of pids) {
    pids.push(...processes.flatMap(([child, ppid]) => (ppid === parent && child !== undefined ? child : [])));
  }
  return pids.map(ownerOf).filter((owner) => owner !== null);
}
