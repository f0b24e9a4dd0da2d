/**
 * AST hashes of candidates: layout, comments and local names make no difference (ast-hash.py defines what else). The hashes of
 * files are cached on disk by blob id, so that ten thousand experiments are hashed only once.
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

/** Version of ast-hash.py's rules: hashes of different schemes cannot be compared. */
const SCHEME = '2';
/** Files for one process, which needs a few hundredths of a second for a file of a few hundred lines. */
const BATCH = 200;
const TIMEOUT_MS = 120_000;

const fileHashSchema = z.union([
  z.strictObject({ hash: z.string() }),
  /** Why the file does not parse, with the line. */
  z.strictObject({ error: z.string() }),
]);
const answerSchema = z.strictObject({ hashes: z.array(fileHashSchema) });
const cachedSchema = z.strictObject({ key: z.string(), result: fileHashSchema });

type FileHash = z.infer<typeof fileHashSchema>;

/** The hash of all editable files of a candidate; null when one does not parse, and `error` says where. */
export type AstHash = { hash: string } | { hash: null; error: string };

interface Source {
  git: Git;
  editable: readonly string[];
  /** Path of an interpreter of the version that will run the files. */
  python: string;
  /** Path of the cache, one file for each scheme. It only grows, and losing lines does no harm. */
  file: string;
}

/** True if a record's hash can be compared with new ones. */
export const isComparable = (hash: string): boolean => hash.startsWith(`${SCHEME}-`);

/** The AST hashes of these commits or trees, in their order. */
export async function astHashes(
  source: Source,
  treeishes: readonly string[],
  signal: AbortSignal,
): Promise<AstHash[]> {
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
    const results = await read(
      source,
      batch.map(([, file]) => file),
      signal,
    );
    batch.forEach(([key], index) => known.set(key, results[index]!));
    await appendCache(
      source.file,
      batch.map(([key], index) => ({ key, result: results[index]! })),
    );
  }
  return treeishes.map((_treeish, index) =>
    whole(
      files
        .slice(index * editable.length, (index + 1) * editable.length)
        .map(({ id, path }) => ({ path, result: id === null ? null : known.get(keyOf(id, path))! })),
    ),
  );
}

/** The extension decides how a file is hashed. */
const keyOf = (id: string, path: string): string => `${id}${extname(path)}`;

function whole(files: readonly { path: string; result: FileHash | null }[]): AstHash {
  const hash = createHash('sha256');
  for (const { path, result } of files) {
    if (result !== null && 'error' in result) return { hash: null, error: `${path}, ${result.error}` };
    hash.update(`${path}\0${result?.hash ?? ''}\n`);
  }
  return { hash: `${SCHEME}-${hash.digest('hex')}` };
}

async function read(
  { git, python }: Source,
  files: readonly { id: string; path: string }[],
  signal: AbortSignal,
): Promise<FileHash[]> {
  const blobs = await readBlobs(
    git,
    files.map(({ id }) => id),
  );
  const question = { files: files.map(({ path }, index) => ({ path, text: String(blobs[index]) })) };
  const script = asset('src', 'researchers', 'ast-hash.py');
  const { stdout } = await capture([python, '-I', '-SB', script], {
    stdin: JSON.stringify(question),
    timeoutMs: TIMEOUT_MS,
    signal,
  });
  const { hashes } = answerSchema.parse(JSON.parse(stdout));
  if (hashes.length !== files.length) {
    throw new Error(`${script} answered for ${hashes.length} of ${files.length} files`);
  }
  return hashes;
}

async function readCache(file: string): Promise<Map<string, FileHash>> {
  const text = await readFile(file, 'utf8').catch((error: unknown) => {
    if (errorCode(error) === 'ENOENT') return '';
    throw error;
  });
  return new Map(text.split('\n').flatMap(cachedIn));
}

/** Ignores an unfinished line: its file is hashed again. */
function cachedIn(line: string): [string, FileHash][] {
  try {
    const { key, result } = cachedSchema.parse(JSON.parse(line));
    return [[key, result]];
  } catch {
    return [];
  }
}

async function appendCache(file: string, entries: readonly z.infer<typeof cachedSchema>[]): Promise<void> {
  await mkdir(dirname(file), { recursive: true });
  // A line break before the entries as well: it ends a line that an interrupted write left unfinished.
  await appendFile(file, `\n${entries.map((entry) => JSON.stringify(entry)).join('\n')}\n`);
}
