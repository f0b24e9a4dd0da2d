/**
 * How long a candidate may start up. Start-up is compute that no budget counts: a candidate that trained for 45 s on rows
 * of its own before `start` gained a third. It has to import, build and compile as the baseline had to, so that is what the
 * cap follows: twice as much for models that compile longer, and some seconds for a host whose disk is cold.
 */

import type { RunResult } from './experiment';

/** What caps follow of a study's baseline. */
export type BaselineRun = Pick<RunResult, 'trainSeconds' | 'startupSeconds' | 'startupGpuSeconds'>;

interface StartupCap {
  seconds: number;
  /** Seconds of these in which the GPU may be at work; null where nobody can tell. */
  gpuSeconds: number | null;
}

const TIMES = 2;
const SPARE_SECONDS = 20;
/** Warm-up and autotuning are at work on the GPU; imports and compilers are not. */
const SPARE_GPU_SECONDS = 10;

/**
 * @param baseline null for the baseline itself: then lab.yaml alone decides
 * @param most lab.yaml's caps.startup_seconds
 */
export function startupCap(baseline: BaselineRun | null, most: number): StartupCap {
  if (baseline === null) return { seconds: most, gpuSeconds: null };
  const { startupSeconds, startupGpuSeconds: gpuSeconds } = baseline;
  return {
    seconds: Math.min(most, TIMES * startupSeconds + SPARE_SECONDS),
    gpuSeconds: gpuSeconds === null ? null : Math.min(most, TIMES * gpuSeconds + SPARE_GPU_SECONDS),
  };
}
