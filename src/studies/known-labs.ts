/** The labs that this host knows, so that a study can be named by its tag alone, from any folder. */
import { existsSync } from 'node:fs';
import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { readJsonIfWhole, writeJsonAtomic } from '../process/json-file';
import { labId, labState, stateRoot } from '../process/paths';

const labFileSchema = z.strictObject({ format: z.literal(1), path: z.string() });
const labFile = (id: string): string => join(labState(id), 'lab.json');

/** Written by `init`, `start` and `fetch`. */
export async function rememberLab(path: string): Promise<void> {
  const id = labId(path);
  await mkdir(labState(id), { recursive: true });
  await writeJsonAtomic(labFile(id), { format: 1, path });
}

/** Paths of the known labs that are still there. */
export async function knownLabs(): Promise<string[]> {
  const ids = await readdir(join(stateRoot(), 'labs')).catch(() => []);
  const files = await Promise.all(ids.map((id) => readJsonIfWhole(labFile(id), labFileSchema)));
  return files.flatMap((file) => (file === null ? [] : [file.path])).filter((path) => existsSync(path));
}
