/**
 * How long a candidate may start up. The budget does not count start-up: a candidate that trained for 45 s on its own rows
 * before `start` gained a third. Candidates import, build and compile like the baseline, so the cap follows its start-up:
 * twice as long, for models that compile longer, plus some seconds for a host with a cold disk.
 */

import type { RunResult } from './experiment';

/** The baseline's times, in seconds, from which caps are computed. */
export type BaselineRun = Pick<RunResult, 'trainSeconds' | 'startupSeconds' | 'startupGpuSeconds'>;

/** In seconds: for any start-up, and beyond twice the baseline's. */
interface StartupCaps {
  startup_seconds: number;
  startup_spare_seconds: number;
}

interface StartupCap {
  seconds: number;
  /** How many of these the GPU may be busy; null when the host cannot measure it. */
  gpuSeconds: number | null;
}

const TIMES = 2;
/** Warm-up and autotuning use the GPU, imports and compilers do not. */
const SPARE_GPU_SECONDS = 10;

/**
 * @param baseline null for the baseline itself: then only lab.yaml's `startup_seconds` counts
 * @param caps lab.yaml's caps
 */
export function startupCap(
  baseline: BaselineRun | null,
  { startup_seconds: most, startup_spare_seconds: spare }: StartupCaps,
): StartupCap {
  if (baseline === null) return { seconds: most, gpuSeconds: null };
  const { startupSeconds, startupGpuSeconds: gpuSeconds } = baseline;
  return {
    seconds: Math.min(most, TIMES * startupSeconds + spare),
    gpuSeconds: gpuSeconds === null ? null : Math.min(most, TIMES * gpuSeconds + SPARE_GPU_SECONDS),
  };
}
