/** Rows of random token ids in the shape of the real ones, for a smoke test, which must show the candidate no data. */
import { randomInt } from 'node:crypto';
import type { Manifest } from '../../labs/model/data';
import type { Rows } from './feed';

export class SyntheticFeed implements Rows {
  constructor(private readonly manifest: Manifest) {}

  bytes(rows: number): number {
    return rows * this.manifest.row * Uint16Array.BYTES_PER_ELEMENT;
  }

  *next(rows: number): Generator<Buffer> {
    const { row, bos, vocabulary } = this.manifest;
    for (let done = 0; done < rows; done++) {
      const ids = new Uint16Array(row).map((_id, at) => (at === 0 ? bos : randomInt(vocabulary)));
      yield Buffer.from(ids.buffer);
    }
  }

  close(): void {
    // Nothing to close.
  }
}
