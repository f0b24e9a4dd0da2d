/**
 * The runner's clock. It is monotonic, so a change of the date does not move it. It stands still while the runner
 * itself is stopped (SIGSTOP, a frozen container), so no candidate is blamed for that time.
 */

/** The runner reads the clock at least this often. */
export const TICK_MS = 250;
/** A longer gap means that the runner was stopped. */
const STOPPED_AFTER_MS = 2_000;

export class Clock {
  private readonly zero: number;
  private last: number;
  private stoppedMs = 0;

  constructor(private readonly monotonic: () => number = () => performance.now()) {
    this.zero = this.monotonic();
    this.last = this.zero;
  }

  /** Seconds for which the runner has run. Call it at least every `TICK_MS`. */
  now(): number {
    const time = this.monotonic();
    const silence = time - this.last;
    if (silence > STOPPED_AFTER_MS) this.stoppedMs += silence - TICK_MS;
    this.last = time;
    return (time - this.zero - this.stoppedMs) / 1000;
  }

  /** Seconds for which the runner was stopped. */
  get stopped(): number {
    return this.stoppedMs / 1000;
  }
}
