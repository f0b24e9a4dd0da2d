/**
 * The order of the training rows: every epoch a fresh shuffle, a pure function of the seed. The candidate cannot
 * influence it. Any position is computed directly and nothing is stored, so a billion rows cost no more than ten.
 */

/** Enough to spread neighbours over all rows; four already look random. */
const ROUNDS = 8;

/**
 * The row at `position`. Positions 0 … rows − 1 are a permutation of all rows, as are the next `rows`, and so on.
 * (A Feistel network over a × b ≥ rows, applied again while its result is outside: cycle walking.)
 */
export function rowAt(seed: number, rows: number, position: number): number {
  const epoch = Math.floor(position / rows);
  const key = mix(seed ^ mix(epoch + 1));
  const a = Math.ceil(Math.sqrt(rows));
  const b = Math.ceil(rows / a);
  let place = position % rows;
  do {
    let left = Math.floor(place / b);
    let right = place % b;
    for (let round = 0; round < ROUNDS; round += 2) {
      left = (left + mix(key ^ mix(right * ROUNDS + round))) % a;
      right = (right + mix(key ^ mix(left * ROUNDS + round + 1))) % b;
    }
    place = left * b + right;
  } while (place >= rows);
  return place;
}

/** murmur3's finalizer: each bit of the input moves every bit of the output. */
function mix(value: number): number {
  let hash = Math.imul(value ^ (value >>> 16), 0x85eb_ca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2_ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
