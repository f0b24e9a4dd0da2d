/** status.json of a task. Written at most twice a second, and at once when the phase changes. */
import { join } from 'node:path';
import type { Sandbox } from '../domain/experiment';
import { writeJsonAtomic } from '../process/json-file';
import type { Owner } from '../process/owner';
import type { TaskStatus } from './task';

const INTERVAL_MS = 500;
/** Written at least this often, so that the GPU seconds of a killed runner are known. */
const REFRESH_MS = 5_000;

/** The status of a task that has not begun; the launcher adds the owner. */
export function queuedStatus(): Omit<TaskStatus, 'owner'> {
  return {
    format: 1,
    phase: 'queued',
    updatedAt: Date.now(),
    startedAt: null,
    deadline: null,
    step: 0,
    tokens: 0,
    lastLoss: null,
    startupSeconds: 0,
    startupGpuSeconds: null,
    trainSeconds: 0,
    wallSeconds: 0,
    dataWaitSeconds: 0,
    peakMemoryMb: 0,
    initialWeights: null,
    weights: null,
    parameters: 0,
    sandbox: 'none',
    score: null,
    failure: null,
  };
}

export class StatusFile {
  readonly value: TaskStatus;
  private readonly path: string;
  private readonly began = performance.now();
  private timer: NodeJS.Timeout | null = null;
  private writing: Promise<void> = Promise.resolve();

  constructor(
    folder: string,
    owner: Owner,
    sandbox: Sandbox,
    private readonly spentSeconds: number,
  ) {
    this.path = join(folder, 'status.json');
    this.value = { ...queuedStatus(), owner, sandbox, wallSeconds: spentSeconds };
    setInterval(() => this.update({}), REFRESH_MS).unref();
  }

  /** Applies a change and writes it within half a second. */
  update(change: Partial<TaskStatus>): void {
    Object.assign(this.value, change);
    this.timer ??= setTimeout(() => {
      // A full disk must not end a training: only the writes of `enter` must succeed.
      this.write().catch((error: unknown) =>
        console.error(`status.json cannot be written: ${String(error)}`),
      );
    }, INTERVAL_MS);
  }

  /** Enters a phase and resolves when it is on the disk. */
  async enter(phase: TaskStatus['phase'], change: Partial<TaskStatus> = {}): Promise<void> {
    Object.assign(this.value, change, { phase });
    console.log(`${new Date().toISOString()} ${phase}`);
    await this.write();
  }

  private write(): Promise<void> {
    if (this.timer !== null) clearTimeout(this.timer);
    this.timer = null;
    const write = async (): Promise<void> => {
      this.value.updatedAt = Date.now();
      this.value.wallSeconds = this.spentSeconds + (performance.now() - this.began) / 1000;
      await writeJsonAtomic(this.path, this.value);
    };
    // In order; a failed write does not block the next one.
    const done = this.writing.then(write);
    this.writing = done.catch(() => undefined);
    return done;
  }
}
