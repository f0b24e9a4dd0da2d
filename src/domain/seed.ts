/**
 * The lab picks the seeds: a pure function of study, experiment and run, so that no retry, restart or
 * second worker ever draws a new one, and no candidate can choose a lucky one (autoresearch #131, #251).
 */

/**
 * The seed of run `run` (1 is the screening run) of experiment `experiment`; run 0 is its proposal.
 * @returns an integer in [1, 2^31 - 1], which every random generator in use accepts.
 */
export function runSeed(study: string, experiment: number, run: number): number {
  return (fnv1a(`${study}/${experiment}/${run}`) % 0x7fff_fffe) + 1;
}

/** Of a run, what tells whether it has used its seed. */
export interface SeededRun {
  seed: number;
  /** SHA-256 of the weights before the first step, as the candidate's lab.py says; null when nothing was drawn, or it did not get so far. */
  initialWeights: string | null;
  /** SHA-256 of the submitted weights, as the runner computed it. */
  weights: string | null;
}

/** Those whose code or whose parent's code a run shares. */
export interface ComparableRuns {
  /** Of the same commit. */
  own: SeededRun[];
  /** Of the commit that it builds on. */
  parent: SeededRun[];
}

/** What a run's seed has changed, as far as the runs at hand tell: `sameAsSeed` is another seed that gave the same weights. */
export type SeedEffect =
  { sameAsSeed: number | null; isIgnored: false } | { sameAsSeed: number; isIgnored: true };

/**
 * Finds a change that fixes the seed by accident: a seed that a candidate chooses is a score that it chooses. It is no wall
 * against a lie, for the candidate's process computes the hash. The order of the data, which the lab draws, is the wall: a
 * lucky initialisation does not carry over to another order.
 *
 * Equal weights alone are no fault. A parent may be deterministic by design (zeros, the identity), or have fixed its seed
 * before: then each of its children would be rejected for what it inherits. So a run is at fault only where its parent's
 * seeds are known to have given different initial weights. Everything else is recorded: one seed only.
 */
export function seedEffect(run: SeededRun, { own, parent }: ComparableRuns): SeedEffect {
  const others = [...own, ...parent].filter(({ seed }) => seed !== run.seed);
  const sameStart = others.find((other) => isSame(run.initialWeights, other.initialWeights));
  if (sameStart !== undefined && usesItsSeed(parent)) return { sameAsSeed: sameStart.seed, isIgnored: true };
  const same = sameStart ?? others.find((other) => isSame(run.weights, other.weights));
  return { sameAsSeed: same?.seed ?? null, isIgnored: false };
}

const isSame = (one: string | null, other: string | null): boolean => one !== null && one === other;

/** All runs are of one commit: two seeds that gave different initial weights. */
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
