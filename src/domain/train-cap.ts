/** How long a budget in steps may take: by itself it has no end, and a candidate that slows down each step none either. */
import type { RunResult } from './experiment';

const TIMES_BASELINE = 4;
const MIN_SECONDS = 600;
/** For the baseline itself: a lab whose steps take longer says so in lab.yaml. */
const BASELINE_SECONDS = 86_400;

/**
 * Seconds from `start`, on the runner's clock.
 * @param stated caps.train_seconds of lab.yaml, which counts where it is there
 */
export function trainCap(
  stated: number | undefined,
  baseline: Pick<RunResult, 'trainSeconds'> | null,
): number {
  if (stated !== undefined) return stated;
  if (baseline === null) return BASELINE_SECONDS;
  return Math.max(MIN_SECONDS, TIMES_BASELINE * baseline.trainSeconds);
}
