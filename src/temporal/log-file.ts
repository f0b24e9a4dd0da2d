/** Logs of detached processes: bounded at each start, and quoted when a start fails. */
import { open, rename, stat } from 'node:fs/promises';

const KEPT_BYTES = 5_000_000;
const QUOTED_BYTES = 2_000;

/** Puts a log that has grown large aside as `.1`, over the one before. */
export async function rotateLog(path: string): Promise<void> {
  const size = await stat(path).then(
    (stats) => stats.size,
    () => 0,
  );
  if (size > KEPT_BYTES) await rename(path, `${path}.1`);
}

/** The last lines of a log, for an error message; empty when there is none. */
export async function endOfLog(path: string): Promise<string> {
  const file = await open(path).catch(() => null);
  if (file === null) return '';
  try {
    const { size } = await file.stat();
    const length = Math.min(size, QUOTED_BYTES);
    const { buffer } = await file.read(new Uint8Array(length), 0, length, size - length);
    return new TextDecoder().decode(buffer).trim();
  } finally {
    await file.close();
  }
}
