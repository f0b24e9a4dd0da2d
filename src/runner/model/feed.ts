/** Training data for one run: rows of token ids, in the order that the seed gives, straight from the packed file. */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { join } from 'node:path';
import type { Manifest } from '../../labs/model/data';
import { rowAt } from './order';

const TOKEN_BYTES = 2;
/** Rows are read and sent in pieces of at most this size, or of one row. No batch is ever whole in memory. */
const PIECE_BYTES = 1 << 20;

/** A source of batches for a session. */
export interface Rows {
  /** Bytes of a batch of so many rows. */
  bytes(rows: number): number;
  /** The next `rows` rows, row-major, in pieces. A piece is overwritten by the next one. */
  next(rows: number): Generator<Buffer>;
  close(): void;
}

export class Feed implements Rows {
  private readonly file: number;
  private readonly rowBytes: number;
  private readonly rowsInPiece: number;
  /** Reused for all pieces: allocating costs as much as reading. */
  private readonly buffer: Buffer;
  private position = 0;

  /** @throws Error if the packed file is missing or has another size than the manifest says */
  constructor(
    data: string,
    private readonly manifest: Manifest,
    private readonly seed: number,
  ) {
    const path = join(data, manifest.train.file);
    this.rowBytes = manifest.row * TOKEN_BYTES;
    this.rowsInPiece = Math.max(1, Math.floor(PIECE_BYTES / this.rowBytes));
    this.buffer = Buffer.allocUnsafeSlow(this.bytes(this.rowsInPiece));
    this.file = openSync(path, 'r');
    const { size } = fstatSync(this.file);
    const expected = manifest.train.rows * this.rowBytes;
    if (size !== expected) {
      closeSync(this.file);
      throw new Error(
        `${path} has ${size} bytes, expected ${expected} as in its manifest: delete ${data}, and it is prepared again`,
      );
    }
  }

  bytes(rows: number): number {
    return rows * this.rowBytes;
  }

  *next(rows: number): Generator<Buffer> {
    for (let done = 0; done < rows; done += this.rowsInPiece) {
      yield this.piece(Math.min(this.rowsInPiece, rows - done));
    }
  }

  close(): void {
    closeSync(this.file);
  }

  private piece(rows: number): Buffer {
    const piece = this.buffer.subarray(0, this.bytes(rows));
    for (let i = 0; i < rows; i++) {
      const row = rowAt(this.seed, this.manifest.train.rows, this.position++);
      const read = readSync(this.file, piece, i * this.rowBytes, this.rowBytes, row * this.rowBytes);
      if (read !== this.rowBytes)
        throw new Error(`row ${row} of the training data cannot be read: the file was truncated`);
    }
    return piece;
  }
}
