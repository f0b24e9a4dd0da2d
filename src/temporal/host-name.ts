/**
 * The host name in task queue names. A running study's queue names do not change, but a host's name may (another network, a renamed
 * machine). So the state folder stores the first one.
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

/** AUTORESEARCH_HOST, else the saved name, else the system's host name. */
export const hostName = (): string => configured() ?? saved() ?? hostname();

function configured(): string | null {
  const name = process.env['AUTORESEARCH_HOST'] ?? '';
  return name === '' ? null : name;
}

/** Null also for a damaged file: the system's name is then most likely the same. */
function saved(): string | null {
  try {
    return hostNameSchema.parse(JSON.parse(readFileSync(hostNameFile(), 'utf8'))).name;
  } catch {
    return null;
  }
}

/** Saves the host name for all later starts. Callers hold the lock of `up`. */
export async function saveHostName(say: Say): Promise<void> {
  const [before, name] = [saved(), hostName()];
  if (before === name) return;
  await mkdir(stateRoot(), { recursive: true });
  await writeJsonAtomic(hostNameFile(), { format: 1, name });
  if (before !== null)
    say(`this host's name is now ${name}: studies that began on ${before} wait for a worker of that name`);
}
