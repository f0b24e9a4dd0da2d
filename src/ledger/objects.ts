/** Reads and writes blobs, trees and commits without a working tree and without the user's index. */
import { isUtf8 } from 'node:buffer';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Git } from './git';

export interface TreeEntry {
  path: string;
  /** `100644`, `100755` (files), `120000` (symbolic link), `160000` (submodule). */
  mode: string;
  id: string;
  /** Bytes; 0 for a submodule. */
  size: number;
}

/** A file to put into a tree; `id: null` removes it. */
export interface TreeChange {
  path: string;
  mode: string;
  id: string | null;
}

/** All files of a commit or tree. @throws GitError if it does not exist */
export async function listTree(git: Git, treeish: string): Promise<TreeEntry[]> {
  const listing = await git.bytes(['ls-tree', '-r', '-z', '--long', '--full-tree', treeish]);
  if (!isUtf8(listing))
    throw new Error(`${git.directory} has file names that are not UTF-8 in ${treeish}: rename them`);
  const lines = listing.toString('utf8').split('\0').slice(0, -1);
  return lines.map((line) => {
    const tab = line.indexOf('\t');
    const [mode = '', , id = '', size = ''] = line.slice(0, tab).split(/ +/);
    return { path: line.slice(tab + 1), mode, id, size: size === '-' ? 0 : Number(size) };
  });
}

/** The contents of blobs, in the order of `ids`, by one git process. @throws Error if one is missing */
export async function readBlobs(git: Git, ids: readonly string[]): Promise<Buffer[]> {
  const blobs = await findBlobs(git, ids);
  return blobs.map((blob, index) => {
    if (blob === null) throw new Error(`blob ${ids[index] ?? ''} is missing in ${git.directory}`);
    return blob;
  });
}

/** A file's text in each of these commits, null where it does not exist; by one git process. */
export async function readAt(git: Git, path: string, commits: readonly string[]): Promise<(string | null)[]> {
  const blobs = await findBlobs(
    git,
    commits.map((commit) => `${commit}:${path}`),
  );
  return blobs.map((blob) => blob?.toString('utf8') ?? null);
}

/** A file's text in a commit; null if it does not exist. */
export async function readText(git: Git, commit: string, path: string): Promise<string | null> {
  const [text = null] = await readAt(git, path, [commit]);
  return text;
}

/** The ids of the blobs with these names (`commit:path`), null where there is none; by one git process. */
export async function findBlobIds(git: Git, names: readonly string[]): Promise<(string | null)[]> {
  if (names.length === 0) return [];
  const listing = await git.text(['cat-file', '--batch-check=%(objectname) %(objecttype)'], {
    input: `${names.join('\n')}\n`,
  });
  return listing.split('\n').map((line) => /^([0-9a-f]+) blob$/.exec(line)?.[1] ?? null);
}

async function findBlobs(git: Git, names: readonly string[]): Promise<(Buffer | null)[]> {
  const objects = await findObjects(git, names);
  return objects.map((object) => (object?.type === 'blob' ? object.content : null));
}

export interface FoundObject {
  /** `blob`, `commit`, `tree` or `tag`. */
  type: string;
  content: Buffer;
}

/** Objects by name, in the order of `names`, null where there is none; by one git process. */
export async function findObjects(git: Git, names: readonly string[]): Promise<(FoundObject | null)[]> {
  if (names.length === 0) return [];
  const stream = await git.bytes(['cat-file', '--batch'], { input: `${names.join('\n')}\n` });
  const objects: (FoundObject | null)[] = [];
  let offset = 0;
  for (const name of names) {
    const newline = stream.indexOf(0x0a, offset);
    const header = stream.toString('utf8', offset, newline);
    const [, type, length] = /^[0-9a-f]+ (\w+) (\d+)$/.exec(header) ?? [];
    if (length === undefined && header !== `${name} missing`)
      throw new Error(`git cat-file of ${name} in ${git.directory}: ${header}`);
    const end = newline + 1 + (length === undefined ? -1 : Number(length));
    objects.push(type === undefined ? null : { type, content: stream.subarray(newline + 1, end) });
    offset = end + 1;
  }
  return objects;
}

/** Stores bytes unchanged: no filters, no conversion of line ends. @returns the blob's id */
export async function writeBlob(git: Git, content: string | Buffer): Promise<string> {
  return git.text(['hash-object', '-w', '--stdin', '--no-filters'], { input: content });
}

/** Makes a tree with some files changed. @param from null for an empty tree @returns the tree's id */
export async function editTree(
  git: Git,
  from: string | null,
  changes: readonly TreeChange[],
): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'autoresearch-index-'));
  try {
    const env = { GIT_INDEX_FILE: join(folder, 'index') };
    await git.bytes(from === null ? ['read-tree', '--empty'] : ['read-tree', from], { env });
    const removed = '0'.repeat(changes.find(({ id }) => id !== null)?.id?.length ?? from?.length ?? 40);
    const lines = changes.map(({ path, mode, id }) =>
      id === null ? `0 ${removed}\t${path}\0` : `${mode} ${id}\t${path}\0`,
    );
    await git.bytes(['update-index', '-z', '--index-info'], { env, input: lines.join('') });
    return await git.text(['write-tree'], { env });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

export interface NewCommit {
  tree: string;
  parent: string | null;
  message: string;
  /** Author and committer date, ISO 8601. With the fixed identity it gives a retry the same hash. */
  at: string;
}

export async function writeCommit(git: Git, { tree, parent, message, at }: NewCommit): Promise<string> {
  const date = `${Math.floor(Date.parse(at) / 1000)} +0000`;
  const parents = parent === null ? [] : ['-p', parent];
  return git.text(['commit-tree', tree, ...parents, '-F', '-'], {
    env: { GIT_AUTHOR_DATE: date, GIT_COMMITTER_DATE: date },
    input: message,
  });
}

/** Text for a commit message: without control characters and without blank space at the ends of lines. */
export function messageText(text: string): string {
  return text
    .toWellFormed()
    .replaceAll(/[^\P{Cc}\n\t]/gu, '')
    .replaceAll(/[^\S\n]+$/gmu, '')
    .replaceAll(/\n{3,}/g, '\n\n')
    .trim();
}
