/** A task that is stopped for the host's trouble goes on in its folder: there it is kept how often that has come. */
import { appendFile, readFile } from 'node:fs/promises';

const MAX_NOTE_CHARACTERS = 200;

/** @returns how often, this time counted */
export async function countFailure(file: string, message: string): Promise<number> {
  await appendFile(file, `${message.slice(0, MAX_NOTE_CHARACTERS).replaceAll(/\s+/g, ' ')}\n`);
  return (await readFile(file, 'utf8')).trimEnd().split('\n').length;
}
