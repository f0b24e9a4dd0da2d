/** Reads and writes JSON files. A power failure leaves the old version or the new one, never half of one. */
import { open, readFile, rename, rm } from 'node:fs/promises';
import type { z } from 'zod';
import { errorCode } from './error-code';

/** A JSON file has unexpected content. The message names the file, the problem and the remedy. */
export class JsonFileError extends Error {
  override name = 'JsonFileError';
}

let written = 0;

/** Replaces `path` by `value` in one step. Its folder must exist. */
export const writeJsonAtomic = (path: string, value: unknown): Promise<void> =>
  replaceFile(path, `${JSON.stringify(value, null, 2)}\n`);

/** Replaces `path` by a file with this text in one step: a temporary file beside it, fsync, rename. */
export async function replaceFile(path: string, text: string): Promise<void> {
  const temporary = `${path}.${process.pid}-${written++}.tmp`;
  try {
    const file = await open(temporary, 'w');
    try {
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

/**
 * Reads and validates a file; null if it does not exist.
 * @throws JsonFileError if it is not JSON or does not match `schema`
 */
export async function readJson<T>(path: string, schema: z.ZodType<T>): Promise<T | null> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return null;
    throw error;
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new JsonFileError(`${path} is not JSON: move it away and try again`, { cause: error });
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const problem = parsed.error.issues[0];
  const where = problem?.path.join('.') || '(top)';
  throw new JsonFileError(
    `${path}: ${where}: ${problem?.message}. Another version may have written it: move it away and try again`,
  );
}

/**
 * As `readJson`, but null also for a damaged file, or one of another version. For files that the product can
 * do without.
 */
export async function readJsonIfWhole<T>(path: string, schema: z.ZodType<T>): Promise<T | null> {
  try {
    return await readJson(path, schema);
  } catch (error) {
    if (error instanceof JsonFileError) return null;
    throw error;
  }
}
