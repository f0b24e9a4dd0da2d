/** How long a budget in steps may take: by itself it has no time limit, however slow a candidate's steps are. */
import type { RunResult } from './experiment';

const TIMES_BASELINE = 4;
const MIN_SECONDS = 600;
/** For the baseline itself; labs with slower steps set caps.train_seconds in lab.yaml. */
const BASELINE_SECONDS = 86_400;

/**
 * @param stated caps.train_seconds of lab.yaml; it overrides the computed cap
 * @returns seconds from `start`, on the runner's clock
 */
export function trainCap(
  stated: number | undefined,
  baseline: Pick<RunResult, 'trainSeconds'> | null,
): number {
  if (stated !== undefined) return stated;
  if (baseline === null) return BASELINE_SECONDS;
  return Math.max(MIN_SECONDS, TIMES_BASELINE * baseline.trainSeconds);
}
