/** For how many seconds a GPU has been at work, by what nvidia-smi says of it several times a second. */
import { spawn, type ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { gpuIndex, isGpu } from './gpu-file';

const SAMPLE_MS = 250;
/** A sample stands for no more than this: a host that stood still, or an nvidia-smi that did, is no GPU at work. */
const MOST_MS = 2_000;

export class GpuBusy {
  /** Null until the first sample, and for good where there is no GPU, no nvidia-smi, or none that can tell. */
  seconds: number | null = null;
  private readonly child: ChildProcess | null;
  private last = performance.now();

  constructor(device: string) {
    this.child = isGpu(device) ? this.start(gpuIndex(device)) : null;
  }

  private start(index: number): ChildProcess {
    const child = spawn(
      'nvidia-smi',
      [
        `--id=${index}`,
        '--query-gpu=utilization.gpu',
        '--format=csv,noheader,nounits',
        `--loop-ms=${SAMPLE_MS}`,
      ],
      { stdio: ['ignore', 'pipe', 'ignore'] },
    );
    // Not installed: then nobody can tell.
    child.on('error', () => undefined);
    createInterface(child.stdout).on('line', (line) => this.take(line));
    return child;
  }

  /** Percent of the time since the last sample. */
  private take(line: string): void {
    const percent = /^\s*(\d+)\s*$/.exec(line)?.[1];
    const now = performance.now();
    const passed = Math.min(now - this.last, MOST_MS);
    this.last = now;
    if (percent !== undefined) this.seconds = (this.seconds ?? 0) + (Number(percent) / 100) * (passed / 1000);
  }

  end(): void {
    this.child?.kill();
  }
}
