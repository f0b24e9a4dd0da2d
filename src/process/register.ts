/**
 * A register of the detached processes that studies have started on this host, so that `down` finds all of them. One small
 * file per lock, written before the process starts.
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

/** An entry without a locked lock may be a process that is still starting. */
const STARTING_MS = 60_000;

const folder = (): string => join(stateRoot(), 'working');
const entryOf = (lock: string): string =>
  join(folder(), `${createHash('sha256').update(lock).digest('hex').slice(0, 16)}.json`);

/** As `launch`; `registered` returns the process until it exits. */
export async function launchRegistered(what: Launch): Promise<Owner | null> {
  await mkdir(folder(), { recursive: true });
  await writeJsonAtomic(entryOf(what.lock), { name: what.name, lock: what.lock });
  return launch(what);
}

/** Removes the entry of a process that has ended. */
export async function unregister(lock: string): Promise<void> {
  await rm(entryOf(lock), { force: true });
}

/** The registered processes that are running. Removes entries of those that ended without `unregister`. */
export async function registered(): Promise<{ name: string; owner: Owner }[]> {
  const files = await entriesOf(folder());
  const found = await Promise.all(
    files.filter((file) => file.endsWith('.json')).map((file) => readEntry(join(folder(), file))),
  );
  return found.filter((each) => each !== null);
}

async function readEntry(file: string): Promise<{ name: string; owner: Owner } | null> {
  const entry = await readJsonIfWhole(file, entrySchema);
  if (entry === null) return null;
  const owner = await holderOf(entry.lock);
  if (owner !== null) return { name: entry.name, owner };
  const { mtimeMs } = await stat(file).catch(() => ({ mtimeMs: Date.now() }));
  if (Date.now() - mtimeMs > STARTING_MS) await unregister(entry.lock);
  return null;
}
