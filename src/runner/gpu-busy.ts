/** Sums the seconds for which a GPU was busy, from nvidia-smi's samples. */
import { spawn, type ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { gpuIndex, isGpu } from './gpu-file';

const SAMPLE_MS = 250;
/** The most time that one sample counts for: a stopped host or nvidia-smi is no busy GPU. */
const MOST_MS = 2_000;

export class GpuBusy {
  /** Null until the first sample, and always without a GPU or a working nvidia-smi. */
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
    // nvidia-smi is not installed: `seconds` stays null.
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
