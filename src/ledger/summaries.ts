/**
 * The summaries of a study's experiments. Checking 10,000 records takes seconds, so this host stores their summaries in a file,
 * each under the hash of the record it was made from. The file is a cache: it can be deleted at any time.
 */
import { mkdir, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { summarize, type ExperimentSummary } from '../domain/experiment';
import { replaceFile } from '../process/json-file';
import { labId, studyState } from '../process/paths';
import type { Git } from './git';
import { parseRecord, recordEntries } from './ledger';
import { readBlobs } from './objects';
import { ledgerRef } from './refs';

/** Fewer new records than this are read faster than the file is written. */
const WORTH_STORING = 200;

interface Stored {
  /** The build that wrote it: another one may summarize in another way. */
  build: string;
  /** The commit of the ledger that it was made from. */
  head: string;
  /** By experiment number. `id` is the record's blob. */
  experiments: { id: string; summary: ExperimentSummary }[];
}

/**
 * All experiments in their order.
 * @param build the running build
 * @throws LedgerError if a record is damaged
 */
export async function readSummaries(git: Git, tag: string, build: string): Promise<ExperimentSummary[]> {
  const head = await git.resolve(ledgerRef(tag));
  if (head === null) return [];
  const file = join(studyState(labId(git.directory), tag), 'summaries.json');
  const stored = await readStored(file, build);
  if (stored?.head === head) return stored.experiments.map(({ summary }) => summary);

  const known = new Map(stored?.experiments.map(({ id, summary }) => [id, summary]));
  const entries = (await recordEntries(git, head)).toSorted((a, b) => a.number - b.number);
  const missing = entries.filter(({ id }) => !known.has(id));
  const blobs = await readBlobs(
    git,
    missing.map(({ id }) => id),
  );
  for (const [index, { id, path, number }] of missing.entries())
    known.set(id, summarize(parseRecord(git, tag, path, number, String(blobs[index]))));
  const experiments = entries.flatMap(({ id }) => {
    const summary = known.get(id);
    return summary === undefined ? [] : [{ id, summary }];
  });
  if (missing.length >= WORTH_STORING) await store(file, { build, head, experiments });
  return experiments.map(({ summary }) => summary);
}

/** Null where there is none that this build wrote whole. */
async function readStored(file: string, build: string): Promise<Stored | null> {
  try {
    const stored: Stored = JSON.parse(await readFile(file, 'utf8'));
    return stored.build === build ? stored : null;
  } catch {
    return null;
  }
}

/** Without the file the next call takes longer, and nothing else: a full disk or another user's folder is no error. */
async function store(file: string, stored: Stored): Promise<void> {
  try {
    await mkdir(dirname(file), { recursive: true });
    await replaceFile(file, JSON.stringify(stored));
  } catch {
    return;
  }
}
