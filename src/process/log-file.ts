/** Logs of detached processes: bounds their size, and reads their tail for error messages. */
import { appendFile, open, truncate, type FileHandle } from 'node:fs/promises';
import { errorCode } from './error-code';

const MAX_BYTES = 5_000_000;
const QUOTED_BYTES = 2_000;
const BOUND_EVERY_MS = 60_000;

/**
 * Cuts a log larger than `limit` bytes to its first and last quarter of `limit`. The inode stays the same, because another
 * process appends to it; bytes appended during the cut may be lost.
 * @returns its size in bytes
 */
export async function boundLog(path: string, limit = MAX_BYTES): Promise<number> {
  const file = await openIfThere(path);
  if (file === null) return 0;
  try {
    const { size } = await file.stat();
    if (size <= limit) return size;
    const quarter = Math.floor(limit / 4);
    const [head, tail] = [await read(file, 0, quarter), await read(file, size - quarter, quarter)];
    const note = Buffer.from(`\n[… ${size - 2 * quarter} bytes left out …]\n`);
    await truncate(path);
    await appendFile(path, Buffer.concat([head, note, tail]));
    return head.length + note.length + tail.length;
  } finally {
    await file.close();
  }
}

/** Bounds these logs every minute while this process runs. Disk errors are ignored: the next minute tries again. */
export function boundRegularly(...paths: string[]): void {
  const bound = () => Promise.allSettled(paths.map((path) => boundLog(path)));
  setInterval(() => void bound(), BOUND_EVERY_MS).unref();
}

/** The tail of a log after byte `from`, for an error message; empty if nothing was written. */
export async function tailOfLog(path: string, from: number): Promise<string> {
  const file = await openIfThere(path);
  if (file === null) return '';
  try {
    const { size } = await file.stat();
    const length = Math.max(0, Math.min(size - from, QUOTED_BYTES));
    return (await read(file, size - length, length)).toString('utf8').trim();
  } finally {
    await file.close();
  }
}

async function openIfThere(path: string): Promise<FileHandle | null> {
  try {
    return await open(path);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return null;
    throw error;
  }
}

async function read(file: FileHandle, position: number, bytes: number): Promise<Buffer> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(bytes), 0, bytes, position);
  return buffer.subarray(0, bytesRead);
}
