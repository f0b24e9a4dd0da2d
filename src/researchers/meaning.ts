/**
 * What candidates mean: a hash of their editable files in which layout, comments and names of locals make no
 * difference (meaning.py says what else). Hashes of files are kept on disk by blob, so that ten thousand experiments
 * are read but once.
 */
import { createHash } from 'node:crypto';
import { appendFile, mkdir, readFile } from 'node:fs/promises';
import { dirname, extname } from 'node:path';
import { z } from 'zod';
import type { Git } from '../ledger/git';
import { findBlobIds, readBlobs } from '../ledger/objects';
import { errorCode } from '../process/error-code';
import { asset } from '../process/package-root';
import { capture } from './capture';

/** Of meaning.py's rules: hashes of two schemes say nothing of each other. */
const SCHEME = '1';
/** Files that one process reads; one of a few hundred lines takes it a tenth of a second or less. */
const BATCH = 200;
const TIMEOUT_MS = 120_000;

const fileMeaningSchema = z.union([
  z.strictObject({ hash: z.string() }),
  /** It does not parse; the line is in it. */
  z.strictObject({ error: z.string() }),
]);
const answerSchema = z.strictObject({ meanings: z.array(fileMeaningSchema) });
const cachedSchema = z.strictObject({ key: z.string(), meaning: fileMeaningSchema });

type FileMeaning = z.infer<typeof fileMeaningSchema>;

/** Of a whole candidate. Without a hash it does not parse, and `error` says where. */
export type Meaning = { hash: string } | { hash: null; error: string };

interface Source {
  git: Git;
  editable: readonly string[];
  /** An interpreter of the version that will run the files. */
  python: string;
  /** The cache, of this scheme: lines are added, and may be lost. */
  file: string;
}

/** Whether a hash of a record can be compared with those that are made now. */
export const isComparable = (hash: string): boolean => hash.startsWith(`${SCHEME}-`);

/** What the editable files mean in each of these commits or trees. */
export async function meaningsOf(
  source: Source,
  treeishes: readonly string[],
  signal: AbortSignal,
): Promise<Meaning[]> {
  const { git, editable } = source;
  const names = treeishes.flatMap((treeish) => editable.map((path) => `${treeish}:${path}`));
  const ids = await findBlobIds(git, names);
  const files = ids.map((id, index) => ({ id, path: editable[index % editable.length] ?? '' }));
  const known = await readCache(source.file);
  const unknown = new Map(
    files.flatMap(({ id, path }) =>
      id === null || known.has(keyOf(id, path)) ? [] : [[keyOf(id, path), { id, path }]],
    ),
  );
  for (let rest = [...unknown]; rest.length > 0; rest = rest.slice(BATCH)) {
    const batch = rest.slice(0, BATCH);
    const meanings = await read(
      source,
      batch.map(([, file]) => file),
      signal,
    );
    batch.forEach(([key], index) => known.set(key, meanings[index]!));
    await keep(
      source.file,
      batch.map(([key], index) => ({ key, meaning: meanings[index]! })),
    );
  }
  return treeishes.map((_treeish, index) =>
    whole(
      files
        .slice(index * editable.length, (index + 1) * editable.length)
        .map(({ id, path }) => ({ path, meaning: id === null ? null : known.get(keyOf(id, path))! })),
    ),
  );
}

/** The same bytes mean something else in a file of another kind. */
const keyOf = (id: string, path: string): string => `${id}${extname(path)}`;

function whole(files: readonly { path: string; meaning: FileMeaning | null }[]): Meaning {
  const hash = createHash('sha256');
  for (const { path, meaning } of files) {
    if (meaning !== null && 'error' in meaning) return { hash: null, error: `${path}, ${meaning.error}` };
    hash.update(`${path}\0${meaning?.hash ?? ''}\n`);
  }
  return { hash: `${SCHEME}-${hash.digest('hex')}` };
}

async function read(
  { git, python }: Source,
  files: readonly { id: string; path: string }[],
  signal: AbortSignal,
): Promise<FileMeaning[]> {
  const blobs = await readBlobs(
    git,
    files.map(({ id }) => id),
  );
  const question = { files: files.map(({ path }, index) => ({ path, text: String(blobs[index]) })) };
  const script = asset('src', 'researchers', 'meaning.py');
  const { stdout } = await capture([python, '-I', '-SB', script], {
    stdin: JSON.stringify(question),
    timeoutMs: TIMEOUT_MS,
    signal,
  });
  const { meanings } = answerSchema.parse(JSON.parse(stdout));
  if (meanings.length !== files.length) {
    throw new Error(`${script} answered for ${meanings.length} of ${files.length} files`);
  }
  return meanings;
}

async function readCache(file: string): Promise<Map<string, FileMeaning>> {
  const text = await readFile(file, 'utf8').catch((error: unknown) => {
    if (errorCode(error) === 'ENOENT') return '';
    throw error;
  });
  return new Map(text.split('\n').flatMap(cachedIn));
}

/** A line that was cut off is read again from git. */
function cachedIn(line: string): [string, FileMeaning][] {
  try {
    const { key, meaning } = cachedSchema.parse(JSON.parse(line));
    return [[key, meaning]];
  } catch {
    return [];
  }
}

async function keep(file: string, entries: readonly z.infer<typeof cachedSchema>[]): Promise<void> {
  await mkdir(dirname(file), { recursive: true });
  // The line break comes first too: what an interrupted write has left stays a line of its own.
  await appendFile(file, `\n${entries.map((entry) => JSON.stringify(entry)).join('\n')}\n`);
}
