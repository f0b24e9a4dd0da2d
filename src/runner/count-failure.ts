/** Counts host errors of a task in its folder, where the task goes on after each of them. */
import { appendFile, readFile } from 'node:fs/promises';

const MAX_NOTE_CHARACTERS = 200;

/** @returns the number of failures, including this one */
export async function countFailure(file: string, message: string): Promise<number> {
  await appendFile(file, `${message.slice(0, MAX_NOTE_CHARACTERS).replaceAll(/\s+/g, ' ')}\n`);
  return (await readFile(file, 'utf8')).trimEnd().split('\n').length;
}
