/**
 * The engine picks the seeds: a pure function of study, experiment and run, so that no retry, restart or second worker draws a
 * new seed, and no candidate can choose a lucky one (autoresearch #131, #251).
 */

/**
 * The seed of run `run` (1 is the screening run) of experiment `experiment`; run 0 is its proposal.
 * @param study the study's tag
 * @returns an integer in [1, 2^31 - 1], which every random generator in use accepts
 */
export function runSeed(study: string, experiment: number, run: number): number {
  return (fnv1a(`${study}/${experiment}/${run}`) % 0x7fff_fffe) + 1;
}

/** The facts of a run that show whether it used its seed. */
export interface SeededRun {
  seed: number;
  /** SHA-256 of the weights before the first step, reported by the candidate's lab.py; null when it drew none or failed earlier. */
  initialWeights: string | null;
  /** SHA-256 of the submitted weights, computed by the runner. */
  weights: string | null;
}

/** Earlier runs to compare a run with. */
export interface ComparableRuns {
  /** Runs of the same commit. */
  own: SeededRun[];
  /** Runs of its parent commit. */
  parent: SeededRun[];
}

/** `sameAsSeed`: another seed that gave the same weights, null when none is known; `isIgnored`: the change made the code ignore its seed. */
export type SeedEffect =
  { sameAsSeed: number | null; isIgnored: false } | { sameAsSeed: number; isIgnored: true };

/**
 * Finds a change that fixes the seed by accident: who chooses the seed chooses the score. A candidate can lie here, since its
 * own process computes the hash; the protection against that is the order of the data, which the engine draws: a lucky
 * initialisation does not carry over to another order.
 *
 * Equal weights alone are no fault. A parent may be deterministic by design (zeros, the identity), or may have fixed its seed
 * earlier; its children must not be rejected for what they inherit. So a run is at fault only if its parent's seeds are known
 * to give different initial weights. All other cases are only recorded.
 */
export function seedEffect(run: SeededRun, { own, parent }: ComparableRuns): SeedEffect {
  const others = [...own, ...parent].filter(({ seed }) => seed !== run.seed);
  const sameStart = others.find((other) => isSame(run.initialWeights, other.initialWeights));
  if (sameStart !== undefined && usesItsSeed(parent)) return { sameAsSeed: sameStart.seed, isIgnored: true };
  const same = sameStart ?? others.find((other) => isSame(run.weights, other.weights));
  return { sameAsSeed: same?.seed ?? null, isIgnored: false };
}

const isSame = (one: string | null, other: string | null): boolean => one !== null && one === other;

/** True if two seeds gave different initial weights. @param runs runs of one commit */
function usesItsSeed(runs: readonly SeededRun[]): boolean {
  const started = runs.filter(({ initialWeights }) => initialWeights !== null);
  return started.some(({ seed, initialWeights }) =>
    started.some((other) => other.seed !== seed && other.initialWeights !== initialWeights),
  );
}

/** FNV-1a, 32 bit, with a final avalanche (murmur3's), for short keys that differ in one character. */
function fnv1a(text: string): number {
  let hash = 0x811c_9dc5;
  for (let i = 0; i < text.length; i++) {
    hash = Math.imul(hash ^ text.charCodeAt(i), 0x0100_0193);
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85eb_ca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2_ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
