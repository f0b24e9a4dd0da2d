/**
 * Plateaus: after a number of experiments without a keep the researcher is asked for another approach, each time a different
 * one, and `status` shows it. A study never stops for lack of ideas (autoresearch #22, #89).
 */
import { APPROACHES, type Approach, type ExperimentSummary } from './experiment';

/** Instructions to the researcher; `status` shows the words before the colon. */
export const APPROACH_TEXT: Record<Approach, string> = {
  combine: 'combine near misses: try two or three changes that came close, together',
  revert: 'revert a kept change: one that helped early may hurt the current code',
  simplify: 'simplify: remove code that does not help, so that a step does less work',
  radical: 'be more radical: try another architecture, optimiser or data order, not one more adjustment',
  program: 'go back to program.md: try a direction that it names and no experiment has tried',
};

/** After so many experiments in a row without a proposal the study rests for a while. */
export const MAX_WITHOUT_PROPOSAL = 3;

export interface Plateau {
  /** Experiments since the last keep. */
  since: number;
  /** The approach to ask for now; null when there is no plateau. */
  approach: Approach | null;
}

/** Experiments since the last keep; the baseline counts as one unless it crashed. */
export function sinceKeep(experiments: readonly Pick<ExperimentSummary, 'verdict'>[]): number {
  return experiments.length - 1 - experiments.findLastIndex(({ verdict }) => verdict === 'keep');
}

/** How many of the latest experiments, in a row, had no proposal. */
export function withoutProposal(experiments: readonly Pick<ExperimentSummary, 'reason'>[]): number {
  return experiments.length - 1 - experiments.findLastIndex(({ reason }) => reason !== 'no-proposal');
}

/**
 * @param since experiments since the last keep
 * @param after experiments without a keep that make a plateau; the same number again changes the approach
 */
export function plateauOf(since: number, after: number): Plateau {
  const changes = Math.floor(since / after);
  if (changes === 0) return { since, approach: null };
  return { since, approach: APPROACHES[(changes - 1) % APPROACHES.length] ?? null };
}
