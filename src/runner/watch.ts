/**
 * Ends a sandbox before it harms the host: polls its number of processes, the host's free memory, and whether its processes are
 * still the first that the kernel kills when memory runs out.
 */
import { readFileSync } from 'node:fs';
import { freemem, totalmem } from 'node:os';
import type { RunFailure } from './task';
import type { Contained } from './contained';

const INTERVAL_MS = 500;
/** torch.compile starts a worker a core, a data loader a few more. */
const MAX_PROCESSES = 512;
/** The host's memory that must stay free. */
const MIN_FREE_SHARE = 0.02;

export class Watch {
  private readonly timer: NodeJS.Timeout;

  constructor(contained: Contained, fail: (reason: RunFailure['reason'], message: string) => void) {
    this.timer = setInterval(() => {
      const processes = contained.everyone().length;
      if (processes > MAX_PROCESSES)
        fail('rejected', `${processes} processes, at most ${MAX_PROCESSES} are allowed`);
      if (contained.spared().length > 0)
        fail('rejected', 'it lowered its oom_score_adj, which must stay as it is: remove that');
      const free = freeMemory();
      if (free < totalmem() * MIN_FREE_SHARE)
        fail('oom', `only ${Math.round(free / 2 ** 20)} MB of the host's memory were left`);
    }, INTERVAL_MS);
  }

  end(): void {
    clearInterval(this.timer);
  }
}

/** Bytes available without swapping; `freemem` alone counts file caches as used. */
function freeMemory(): number {
  const kilobytes = /MemAvailable:\s+(\d+) kB/.exec(read('/proc/meminfo'))?.[1];
  return kilobytes === undefined ? freemem() : Number(kilobytes) * 1024;
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
