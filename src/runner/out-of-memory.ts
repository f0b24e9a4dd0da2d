import { readFileSync } from 'node:fs';

/** How many processes the kernel has killed for lack of memory: it does not say whose. */
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
