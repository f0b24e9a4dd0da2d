/**
 * What detached work there is on this host, so that `down` finds all of it without looking through every folder there
 * ever was: one small file for each lock, written before the work begins.
 */
import { createHash } from 'node:crypto';
import { mkdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { holderOf, launch, type Launch } from './detach';
import { entriesOf } from './entries';
import { readJsonIfWhole, writeJsonAtomic } from './json-file';
import type { Owner } from './owner';
import { stateRoot } from './paths';

const entrySchema = z.strictObject({ name: z.string(), lock: z.string() });

/** Between an entry and its lock there is a process's start. */
const STARTING_MS = 60_000;

const folder = (): string => join(stateRoot(), 'working');
const entryOf = (lock: string): string =>
  join(folder(), `${createHash('sha256').update(lock).digest('hex').slice(0, 16)}.json`);

/** `launch`, found by `listed` for as long as it lives. */
export async function launchListed(what: Launch): Promise<Owner | null> {
  await mkdir(folder(), { recursive: true });
  await writeJsonAtomic(entryOf(what.lock), { name: what.name, lock: what.lock });
  return launch(what);
}

/** What has ended is listed no more. */
export async function unlist(lock: string): Promise<void> {
  await rm(entryOf(lock), { force: true });
}

/** All that is at work now. Forgets what has ended unseen. */
export async function listed(): Promise<{ name: string; owner: Owner }[]> {
  const files = await entriesOf(folder());
  const found = await Promise.all(
    files.filter((file) => file.endsWith('.json')).map((file) => look(join(folder(), file))),
  );
  return found.filter((each) => each !== null);
}

async function look(file: string): Promise<{ name: string; owner: Owner } | null> {
  const entry = await readJsonIfWhole(file, entrySchema);
  if (entry === null) return null;
  const owner = await holderOf(entry.lock);
  if (owner !== null) return { name: entry.name, owner };
  const { mtimeMs } = await stat(file).catch(() => ({ mtimeMs: Date.now() }));
  if (Date.now() - mtimeMs > STARTING_MS) await unlist(entry.lock);
  return null;
}
