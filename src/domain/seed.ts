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
  /** SHA-256 of the weights before the first step; null when it did not get so far. */
  initialWeights: string | null;
}

/**
 * Two seeds that give the same weights to the last bit: the run has not used the one that it was given. A seed that
 * a candidate chooses is a score that it chooses. Sound for whatever is compared, for nothing else makes two hashes equal; what
 * it does not see is another initialisation than that of the runs at hand, with a seed of its own: its confirming runs,
 * which differ in the seed alone, show that.
 * @returns the other run, or null where nothing speaks against it
 */
export function seedIgnored<Run extends SeededRun>(run: SeededRun, others: readonly Run[]): Run | null {
  if (run.initialWeights === null) return null;
  const same = (other: Run): boolean =>
    other.seed !== run.seed && other.initialWeights === run.initialWeights;
  return others.find(same) ?? null;
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
