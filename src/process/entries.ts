import { readdir } from 'node:fs/promises';
import { errorCode } from './error-code';

/** The names in a folder; empty if the folder does not exist. */
export async function entriesOf(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return [];
    throw error;
  }
}
