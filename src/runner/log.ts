/** A candidate's output on disk, bounded in size: its beginning and its latest lines. */
import {
  closeSync,
  fstatSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';

/** Characters in memory, for the failure's tail. */
const TAIL_CHARACTERS = 16_000;

export class BoundedLog {
  private file: number;
  private size: number;
  private leftOut = 0;
  private recent = '';
  private appended = 0;

  constructor(
    private readonly path: string,
    private readonly limit: number,
  ) {
    this.file = openSync(path, 'a+');
    this.size = fstatSync(this.file).size;
  }

  append(chunk: Buffer): void {
    const text = chunk.toString('utf8');
    this.appended += text.length;
    this.recent = (this.recent + text).slice(-TAIL_CHARACTERS);
    const part = chunk.subarray(-Math.floor(this.limit / 4));
    this.leftOut += chunk.length - part.length;
    try {
      if (this.size + part.length > this.limit) this.compact();
      const written = writeSync(this.file, part);
      this.size += written;
      this.leftOut += part.length - written;
    } catch {
      // A full disk is no reason to end a training; what the log lost stays in its tail.
      this.leftOut += part.length;
    }
  }

  /** A place in the output, for `tail`: its end by now. */
  mark(): number {
    return this.appended;
  }

  /** The latest output; of what came after `mark` only. */
  tail(mark = 0): string {
    return this.recent.slice(Math.max(0, this.recent.length - (this.appended - mark)));
  }

  close(): void {
    closeSync(this.file);
  }

  /** Leaves the first quarter and the last one, with a line between that says how much is missing. */
  private compact(): void {
    const quarter = Math.floor(this.limit / 4);
    const head = this.read(0, quarter);
    const tail = this.read(this.size - quarter, quarter);
    const leftOut = this.leftOut + this.size - head.length - tail.length;
    const note = Buffer.from(`\n[… about ${leftOut} bytes left out …]\n`);
    const shorter = this.replaceBy([head, note, tail]);
    closeSync(this.file);
    this.file = shorter;
    this.size = head.length + note.length + tail.length;
    this.leftOut = leftOut;
  }

  /** The new file, open, under the log's name; on a full disk all stays as it is. */
  private replaceBy(parts: readonly Buffer[]): number {
    const temporary = `${this.path}.tmp`;
    const file = openSync(temporary, 'w+');
    try {
      for (const part of parts) writeFileSync(file, part);
      renameSync(temporary, this.path);
      return file;
    } catch (error) {
      closeSync(file);
      rmSync(temporary, { force: true });
      throw error;
    }
  }

  private read(position: number, bytes: number): Buffer {
    const buffer = Buffer.alloc(bytes);
    return buffer.subarray(0, readSync(this.file, buffer, 0, bytes, position));
  }
}
