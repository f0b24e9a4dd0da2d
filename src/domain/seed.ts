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
