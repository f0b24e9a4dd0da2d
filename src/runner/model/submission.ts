/** The candidate's submission. The runner writes it from the socket, so it never follows a link that the candidate made. */
import { createHash } from 'node:crypto';
import { open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { mkdir } from 'node:fs/promises';

export const GRAPH_FILE = 'graph.json';
export const WEIGHTS_FILE = 'weights.safetensors';

/** Makes an empty folder for one submission and deletes an earlier attempt's. */
export async function clearSubmission(folder: string): Promise<void> {
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
}

/**
 * Streams a payload to a new file and syncs it to the disk.
 * @returns the SHA-256 of its bytes
 */
export async function saveSubmission(
  folder: string,
  name: string,
  payload: AsyncIterable<Buffer>,
): Promise<string> {
  const hash = createHash('sha256');
  const file = await open(join(folder, name), 'wx');
  try {
    for await (const piece of payload) {
      hash.update(piece);
      await file.writeFile(piece);
    }
    await file.sync();
  } finally {
    await file.close();
  }
  return hash.digest('hex');
}
