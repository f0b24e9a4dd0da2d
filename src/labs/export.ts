/**
 * A commit's files as a plain folder without `.git`, with the lab's locked files from the base commit laid over
 * them. Bytes are written as git holds them: no filters, no line ends changed, nothing read from a working tree.
 */
import { createHash } from 'node:crypto';
import type { Dirent } from 'node:fs';
import {
  mkdir,
  mkdtemp,
  open,
  readdir,
  readFile,
  readlink,
  rename,
  rm,
  stat,
  symlink,
} from 'node:fs/promises';
import { basename, dirname, join, posix, relative } from 'node:path';
import type { LabConfig } from './lab-yaml';
import { Git } from '../ledger/git';
import { LabError } from '../ledger/git';
import { checkEntry, readLabConfigAt } from './lab';
import { listTree, readBlobs, type TreeEntry } from '../ledger/objects';

/** Blobs of about this many bytes are held in memory at once. */
const BATCH_BYTES = 32 << 20;

/** What a folder holds, by path inside it: git's ids of the blobs. */
export type Blobs = Record<string, string>;

/**
 * Exports `commit` of the lab at `study.lab` into `directory`. It is made under a temporary name and renamed when it is
 * whole and on the disk. One that is there stays when it is what git has, byte for byte, and is made anew otherwise.
 * @throws LabError for symbolic links that leave the tree, submodules, and names that are not UTF-8
 */
export async function exportTree(
  study: { lab: string; base: string },
  commit: string,
  directory: string,
): Promise<Blobs> {
  const git = new Git(study.lab);
  const { locked } = await readLabConfigAt(git, study.base);
  const entries = layOver(await listTree(git, commit), await listTree(git, study.base), locked);
  for (const entry of entries) checkEntry(entry);
  const blobs = Object.fromEntries(entries.map(({ path, id }) => [path, id]));
  if (await exists(directory)) {
    if (difference(await hashTree(directory, algorithmOf(blobs)), blobs) === null) return blobs;
    await rm(directory, { recursive: true, force: true });
  }
  await mkdir(dirname(directory), { recursive: true });
  const partial = await mkdtemp(join(dirname(directory), `${basename(directory)}.partial-`));
  try {
    for (const batch of inBatches(entries)) await writeBatch(git, batch, partial);
    await rename(partial, directory).catch(async (error: unknown) => {
      // Somebody else finished the same export first.
      if (!(await exists(directory))) throw error;
    });
  } finally {
    await rm(partial, { recursive: true, force: true });
  }
  return blobs;
}

/** The first difference between two folders in words; null where there is none. */
export function difference(found: Blobs, expected: Blobs): string | null {
  for (const path of Object.keys(found).toSorted())
    if (!Object.hasOwn(expected, path)) return `${path} is new`;
  for (const [path, id] of Object.entries(expected)) {
    if (!Object.hasOwn(found, path)) return `${path} is gone`;
    if (found[path] !== id) return `${path} has other contents`;
  }
  return null;
}

/** A repository has one kind of ids: of 40 hex digits, or of 64. */
export const algorithmOf = (blobs: Blobs): 'sha1' | 'sha256' =>
  Object.values(blobs)[0]?.length === 64 ? 'sha256' : 'sha1';

/** What a folder holds, by git's own hash of it: a link by its target, anything else that is no file by nothing. */
export async function hashTree(directory: string, algorithm: 'sha1' | 'sha256' = 'sha1'): Promise<Blobs> {
  const blobs: Blobs = {};
  for (const entry of await readdir(directory, { recursive: true, withFileTypes: true })) {
    if (entry.isDirectory()) continue;
    const path = join(entry.path, entry.name);
    const content = entry.isSymbolicLink() ? Buffer.from(await readlink(path)) : await bytesOf(entry, path);
    blobs[relative(directory, path)] =
      content === null
        ? ''
        : createHash(algorithm).update(`blob ${content.length}\0`).update(content).digest('hex');
  }
  return blobs;
}

const bytesOf = (entry: Dirent, path: string): Promise<Buffer | null> =>
  entry.isFile() ? readFile(path) : Promise.resolve(null);

function layOver(
  candidate: readonly TreeEntry[],
  base: readonly TreeEntry[],
  locked: LabConfig['locked'],
): TreeEntry[] {
  const inTheWay = (path: string): boolean =>
    locked.some((name) => name === path || path.startsWith(`${name}/`) || name.startsWith(`${path}/`));
  return [
    ...candidate.filter(({ path }) => !inTheWay(path)),
    ...base.filter(({ path }) => locked.includes(path)),
  ];
}

function* inBatches(entries: readonly TreeEntry[]): Generator<TreeEntry[]> {
  let batch: TreeEntry[] = [];
  let bytes = 0;
  for (const entry of entries) {
    batch.push(entry);
    bytes += entry.size;
    if (bytes < BATCH_BYTES) continue;
    yield batch;
    batch = [];
    bytes = 0;
  }
  if (batch.length > 0) yield batch;
}

async function writeBatch(git: Git, entries: readonly TreeEntry[], directory: string): Promise<void> {
  const contents = await readBlobs(
    git,
    entries.map(({ id }) => id),
  );
  for (const [index, { path, mode }] of entries.entries()) {
    const content = contents[index] ?? Buffer.alloc(0);
    const target = join(directory, path);
    await mkdir(dirname(target), { recursive: true });
    if (mode === '120000') await symlink(checkLink(path, content.toString('utf8')), target);
    else await writeSynced(target, content, mode === '100755' ? 0o755 : 0o644);
  }
}

/** A rename is on the disk before the files in the folder are, unless they are synced first. */
async function writeSynced(path: string, content: Buffer, mode: number): Promise<void> {
  const file = await open(path, 'wx', mode);
  try {
    await file.writeFile(content);
    await file.datasync();
  } finally {
    await file.close();
  }
}

/**
 * A link may climb only at its beginning: from a real folder that stays inside, whereas `other/../..` leaves
 * the tree when `other` is itself a link.
 */
function checkLink(path: string, target: string): string {
  const inside = posix.join(posix.dirname(path), target);
  const climbsLate = /[^/.][^/]*\/+\.\.(\/|$)/.test(target) || /\.\.[^/]+\/+\.\.(\/|$)/.test(target);
  if (target === '' || target.startsWith('/') || inside.startsWith('..') || climbsLate) {
    throw new LabError(
      `"${path}" is a symbolic link to "${target}", which may lead out of the lab: put the file itself there`,
    );
  }
  return target;
}

async function exists(path: string): Promise<boolean> {
  return (await stat(path).catch(() => null)) !== null;
}
