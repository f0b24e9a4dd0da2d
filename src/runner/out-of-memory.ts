/** Without a cgroup: the host's count of processes killed for lack of memory. */
import { readFileSync } from 'node:fs';

/** Tells whether the kernel has killed any process for lack of memory since this was made. */
export class OutOfMemoryCount {
  private readonly before = killed();

  hasRisen(): boolean {
    return killed() > this.before;
  }
}

function killed(): number {
  return Number(/^oom_kill (\d+)$/m.exec(vmstat())?.[1] ?? 0);
}

function vmstat(): string {
  try {
    return readFileSync('/proc/vmstat', 'utf8');
  } catch {
    return '';
  }
}
