/**
 * Plateaus: when nothing has been kept for a while, the researcher is asked to change its approach, each time in another
 * way, and the study says so. It never stops for lack of ideas (autoresearch #22, #89).
 */
import { APPROACHES, type Approach, type ExperimentSummary } from './experiment';

/** Each as an order to the researcher; `status` shows the first words. */
export const APPROACH_TEXT: Record<Approach, string> = {
  combine: 'combine near misses: two or three changes that came close, together',
  revert: 'revert a kept change: something that helped early may hold back what is there now',
  simplify: 'simplify: take away code that does not earn its place, so that a step does less',
  radical: 'be more radical: another architecture, optimiser or data order, not one more adjustment',
  program: 'go back to program.md: what does it point to that was never tried?',
};

/** So many experiments in a row for which nothing was proposed, and the study rests for a while. */
export const MAX_WITHOUT_PROPOSAL = 3;

export interface Plateau {
  /** Experiments since the last one that was kept. */
  since: number;
  /** What is asked for now; null while there is no plateau. */
  approach: Approach | null;
}

/** Experiments since the last one that was kept; the baseline is kept, unless it crashed. */
export function sinceKeep(experiments: readonly Pick<ExperimentSummary, 'verdict'>[]): number {
  return experiments.length - 1 - experiments.findLastIndex(({ verdict }) => verdict === 'keep');
}

/** Experiments in a row, up to the last one, for which nothing was proposed. */
export function withoutProposal(experiments: readonly Pick<ExperimentSummary, 'reason'>[]): number {
  return experiments.length - 1 - experiments.findLastIndex(({ reason }) => reason !== 'no-proposal');
}

/**
 * @param since experiments since the last keep
 * @param after experiments without a keep that make a plateau; each as many more change the approach again
 */
export function plateauOf(since: number, after: number): Plateau {
  const changes = Math.floor(since / after);
  if (changes === 0) return { since, approach: null };
  return { since, approach: APPROACHES[(changes - 1) % APPROACHES.length] ?? null };
}
