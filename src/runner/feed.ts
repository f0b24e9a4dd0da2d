/** Training data for one run: rows of token ids, in the order that the seed gives, straight from the packed file. */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { join } from 'node:path';
import type { Manifest } from '../lab/data';
import { rowAt } from './order';

const TOKEN_BYTES = 2;
/** Rows are read and sent in pieces of about this size, so that no batch is ever whole in memory. */
const PIECE_BYTES = 1 << 20;

export class Feed {
  private readonly file: number;
  private readonly rowBytes: number;
  private position = 0;

  /** @throws Error if the packed file is missing or has another size than the manifest says */
  constructor(
    data: string,
    private readonly manifest: Manifest,
    private readonly seed: number,
  ) {
    const path = join(data, manifest.train.file);
    this.rowBytes = manifest.row * TOKEN_BYTES;
    this.file = openSync(path, 'r');
    const { size } = fstatSync(this.file);
    const expected = manifest.train.rows * this.rowBytes;
    if (size !== expected) {
      closeSync(this.file);
      throw new Error(
        `${path} has ${size} bytes, its manifest says ${expected}: delete ${data}, it is made again`,
      );
    }
  }

  /** Bytes of a batch of so many rows. */
  bytes(rows: number): number {
    return rows * this.rowBytes;
  }

  /** The next `rows` rows, row-major, in pieces. */
  *next(rows: number): Generator<Buffer> {
    const rowsInPiece = Math.max(1, Math.floor(PIECE_BYTES / this.rowBytes));
    for (let done = 0; done < rows; done += rowsInPiece) {
      yield this.piece(Math.min(rowsInPiece, rows - done));
    }
  }

  close(): void {
    closeSync(this.file);
  }

  private piece(rows: number): Buffer {
    const piece = Buffer.allocUnsafeSlow(this.bytes(rows));
    for (let i = 0; i < rows; i++) {
      const row = rowAt(this.seed, this.manifest.train.rows, this.position++);
      const read = readSync(this.file, piece, i * this.rowBytes, this.rowBytes, row * this.rowBytes);
      if (read !== this.rowBytes)
        throw new Error(`row ${row} of the training data cannot be read: the file was cut`);
    }
    return piece;
  }
}
