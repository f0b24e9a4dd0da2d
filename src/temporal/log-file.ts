/** Logs of detached processes: bounded at each start, and quoted when a start fails. */
import { open, rename, stat } from 'node:fs/promises';

const KEPT_BYTES = 5_000_000;
const QUOTED_BYTES = 2_000;

/** Puts a log that has grown large aside as `.1`, over the one before. @returns where the next words will be */
export async function rotateLog(path: string): Promise<number> {
  const size = await stat(path).then(
    (stats) => stats.size,
    () => 0,
  );
  if (size <= KEPT_BYTES) return size;
  await rename(path, `${path}.1`);
  return 0;
}

/** The last words of a log after byte `from`, for an error message; empty when there are none. */
export async function endOfLog(path: string, from: number): Promise<string> {
  const file = await open(path).catch(() => null);
  if (file === null) return '';
  try {
    const { size } = await file.stat();
    const length = Math.max(0, Math.min(size - from, QUOTED_BYTES));
    const { buffer } = await file.read(new Uint8Array(length), 0, length, size - length);
    return new TextDecoder().decode(buffer).trim();
  } finally {
    await file.close();
  }
}
