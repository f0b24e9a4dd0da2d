/**
 * By what name studies find this host's worker: task queues carry it, and a running workflow keeps the name that it began
 * with. A host's own name may change (another network, a renamed machine), so the first one is kept in the state folder.
 */
import { readFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { writeJsonAtomic } from '../process/json-file';
import { stateRoot } from '../process/paths';
import type { Say } from '../process/progress';

const hostNameSchema = z.object({ format: z.literal(1), name: z.string().min(1) });

const hostNameFile = (): string => join(stateRoot(), 'host-name.json');

/** AUTORESEARCH_HOST, or the name that was kept, or where there is none yet the host's own. */
export const hostName = (): string => wanted() ?? kept() ?? hostname();

function wanted(): string | null {
  const name = process.env['AUTORESEARCH_HOST'] ?? '';
  return name === '' ? null : name;
}

/** Null also where the file is damaged: then the host's own name, which mostly is the one that was in it. */
function kept(): string | null {
  try {
    return hostNameSchema.parse(JSON.parse(readFileSync(hostNameFile(), 'utf8'))).name;
  } catch {
    return null;
  }
}

/** From now on this host is called so, whatever it calls itself later. Callers hold the lock of `up`. */
export async function keepHostName(say: Say): Promise<void> {
  const [before, name] = [kept(), hostName()];
  if (before === name) return;
  await mkdir(stateRoot(), { recursive: true });
  await writeJsonAtomic(hostNameFile(), { format: 1, name });
  if (before !== null) say(`this host is ${name} now: studies that began on ${before} wait for that name`);
}
