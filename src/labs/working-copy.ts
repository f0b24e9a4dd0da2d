/**
 * A working copy for researchers that edit files: a git repository of its own with one branch, which shares no object,
 * setting or ref with the lab's. An agent may commit, reset and rewrite there. Only its editable files are read back,
 * and never by git: hooks, filters and settings that an agent leaves in the copy are not run.
 */
import { createHash } from 'node:crypto';
import { constants, type BigIntStats } from 'node:fs';
import { lstat, mkdir, open, readdir, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { isText } from './apply-edits';
import type { LabConfig } from './lab-yaml';
import type { Edit } from '../ledger/proposals';
import { exportTree } from './export';
import { Git } from '../ledger/git';
import { listTree, type TreeEntry } from '../ledger/objects';
import { branchName } from '../ledger/refs';
import { outputOf, run } from '../process/run-program';

/** For a large copy on a slow disk. */
const REMOVE_MS = 10 * 60_000;

export interface WorkingCopy {
  path: string;
  /** The files that it began with, by path. */
  tracked: ReadonlyMap<string, Tracked>;
}

interface Tracked {
  entry: TreeEntry;
  /** Which file it is, and when it was last changed; no program can set that. */
  stamp: string;
}

export interface Changes {
  edits: Edit[];
  /** What a change may not do or cannot say, each in words for the researcher. */
  wrong: string[];
  /** New files that are not editable; they are left out. */
  left: string[];
}

/** Bytes are shown as git holds them: no filters, no line ends changed. */
const ATTRIBUTES = '* -text -ident -filter -working-tree-encoding\n';
const AGENT = 'autoresearch agent';
/** More is not read: an agent may leave a million files. */
const MAX_LEFT = 1_000;

/**
 * Makes a copy of `commit` at `path`, which must not exist. Its history is the study's: from `study.base` on, without
 * other studies, experiments and proposals.
 */
export async function makeWorkingCopy(
  study: { lab: string; base: string },
  { tag, commit, path }: { tag: string; commit: string; path: string },
): Promise<WorkingCopy> {
  const git = new Git(study.lab);
  await exportTree(study, commit, path);
  await makeRepository(git, study.base, { tag, commit, path });
  const tracked = new Map<string, Tracked>();
  for (const entry of await listTree(git, commit)) {
    const found = await find(path, entry.path);
    if (found !== null) tracked.set(entry.path, { entry, stamp: stampOf(found) });
  }
  return { path, tracked };
}

async function makeRepository(
  git: Git,
  base: string,
  { tag, commit, path }: { tag: string; commit: string; path: string },
): Promise<void> {
  const folder = join(path, '.git');
  const format = await git.text(['rev-parse', '--show-object-format']);
  const isFromBase = (await git.answer(['merge-base', '--is-ancestor', base, commit])) !== null;
  const first = isFromBase ? base : commit;
  const ref = `refs/heads/${branchName(tag)}`;
  const files = {
    HEAD: `ref: ${ref}\n`,
    config: configOf(format),
    shallow: `${first}\n`,
    [ref]: `${commit}\n`,
    'info/attributes': ATTRIBUTES,
  };
  for (const [name, content] of Object.entries(files)) {
    await mkdir(dirname(join(folder, name)), { recursive: true });
    await writeFile(join(folder, name), content);
  }
  await mkdir(join(folder, 'objects', 'pack'), { recursive: true });
  const objects = join(folder, 'objects');
  const labObjects = await git.text(['rev-parse', '--path-format=absolute', '--git-path', 'objects']);
  await git.bytes(['pack-objects', '--quiet', '--revs', join(objects, 'pack', 'pack')], {
    input: `--shallow ${first}\n${commit}\n`,
    // git writes a pack in its own object folder first, and renames it: the copy may be on another file system than the lab.
    env: { GIT_OBJECT_DIRECTORY: objects, GIT_ALTERNATE_OBJECT_DIRECTORIES: quoted(labObjects) },
  });
  const copy = new Git(path);
  await copy.bytes(['read-tree', 'HEAD']);
  await copy.bytes(['update-index', '-q', '--refresh'], { accept: [1] });
}

/** As git takes a path that may have the colon which separates paths. */
const quoted = (path: string): string => `"${path.replace(/["\\]/gu, '\\$&')}"`;

function configOf(format: string): string {
  const extensions =
    format === 'sha1'
      ? '\trepositoryformatversion = 0\n'
      : `\trepositoryformatversion = 1\n[extensions]\n\tobjectFormat = ${format}\n[core]\n`;
  return `[core]\n${extensions}\tbare = false\n\tfileMode = false\n\tlogAllRefUpdates = true\n[user]\n\tname = ${AGENT}\n\temail = agent@localhost\n[commit]\n\tgpgSign = false\n`;
}

/**
 * What was changed in the copy, committed or not. Call it when nothing writes there any more.
 * @param limit bytes of one file above which its content is not read
 */
export async function changesIn(
  copy: WorkingCopy,
  editable: LabConfig['editable'],
  limit: number,
): Promise<Changes> {
  const changes: Changes = { edits: [], wrong: [], left: [] };
  if (!(await isFolder(copy.path))) return { ...changes, wrong: ['the working copy was removed'] };
  for (const path of editable) {
    const change = await readEditable(copy, path, limit);
    if (typeof change === 'string') changes.wrong.push(`${path} ${change}`);
    else if (change !== null) changes.edits.push(change);
  }
  for (const [path, tracked] of copy.tracked) {
    if (!editable.includes(path) && !(await isUnchanged(copy, path, tracked)))
      changes.wrong.push(`${path} was changed, and is not editable`);
  }
  changes.left = await untracked(copy, editable);
  return changes;
}

/** An edit, null where nothing changed, or in words why it cannot be taken. */
async function readEditable(copy: WorkingCopy, path: string, limit: number): Promise<Edit | null | string> {
  const tracked = copy.tracked.get(path) ?? null;
  if (tracked !== null && (await isUnchanged(copy, path, tracked))) return null;
  const folders = dirname(path).split('/');
  for (let depth = 1; path.includes('/') && depth <= folders.length; depth++) {
    const folder = await find(copy.path, folders.slice(0, depth).join('/'));
    if (folder === null) break;
    if (!folder.isDirectory()) return 'lies in what is no folder any more, but a file or a link';
  }
  const found = await find(copy.path, path);
  if (found === null) return tracked === null ? null : { path, delete: true };
  if (found.isSymbolicLink()) return 'was made a symbolic link';
  if (!found.isFile()) return 'is no regular file any more';
  if (found.size > limit) return `has ${found.size} bytes, and caps.edit_bytes allows ${limit}`;
  const content = await readRegular(join(copy.path, path));
  if (!isText(content)) return 'is not UTF-8 text';
  return { path, content: content.toString('utf8') };
}

/** The same bytes, whatever was done to the file meanwhile; its mode is no change. */
async function isUnchanged({ path: root }: WorkingCopy, path: string, tracked: Tracked): Promise<boolean> {
  const { entry, stamp } = tracked;
  const found = await find(root, path);
  if (found === null) return false;
  if (stampOf(found) === stamp) return true;
  if (entry.mode === '120000' || !found.isFile() || found.size !== BigInt(entry.size)) return false;
  return blobId(await readRegular(join(root, path)), entry.id.length) === entry.id;
}

/** As git names a blob. */
function blobId(content: Buffer, length: number): string {
  return createHash(length === 40 ? 'sha1' : 'sha256')
    .update(`blob ${content.length}\0`)
    .update(content)
    .digest('hex');
}

/** New names beside the files that were there; a new folder is one of them, whatever it holds. */
async function untracked(
  { path: root, tracked }: WorkingCopy,
  editable: readonly string[],
): Promise<string[]> {
  const known = [...tracked.keys(), ...editable];
  const folders = new Set(['', ...known.flatMap(foldersOf)]);
  const files = new Set(known);
  const left: string[] = [];
  for (const folder of folders) {
    if (!(await isFolder(join(root, folder)))) continue;
    const entries = await readdir(join(root, folder), { withFileTypes: true }).catch(() => []);
    for (const entry of entries) {
      const path = folder === '' ? entry.name : `${folder}/${entry.name}`;
      if (path === '.git' || files.has(path) || folders.has(path)) continue;
      if (left.length >= MAX_LEFT) return left;
      left.push(entry.isDirectory() ? `${path}/` : path);
    }
  }
  return left.toSorted();
}

function foldersOf(path: string): string[] {
  const parts = path.split('/').slice(0, -1);
  return parts.map((_, index) => parts.slice(0, index + 1).join('/'));
}

/** A path of the lab whose folders are real ones: a link on the way could lead to files of the host. */
async function find(root: string, path: string): Promise<BigIntStats | null> {
  for (const folder of foldersOf(path)) if (!(await isFolder(join(root, folder)))) return null;
  return lstat(join(root, path), { bigint: true }).catch(() => null);
}

async function isFolder(path: string): Promise<boolean> {
  return (await lstat(path).catch(() => null))?.isDirectory() ?? false;
}

const stampOf = ({ ino, size, mtimeNs, ctimeNs }: BigIntStats): string =>
  [ino, size, mtimeNs, ctimeNs].join(' ');

/** A pipe would never answer, and a link could lead anywhere. */
async function readRegular(path: string): Promise<Buffer> {
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    if (!(await file.stat()).isFile()) throw new Error(`${path} was replaced while it was read`);
    return await file.readFile();
  } finally {
    await file.close();
  }
}

/** Removes a folder whatever an agent has made of it: folders that nobody may enter, or too deep for a path. */
export async function removeCopies(folder: string): Promise<void> {
  await rm(folder, { recursive: true, force: true }).catch(async () => {
    await run('chmod', ['-R', 'u+rwX', '--', folder], { timeoutMs: REMOVE_MS });
    await outputOf('rm', ['-rf', '--', folder], { timeoutMs: REMOVE_MS });
  });
}

/** @param folder a proposal's own */
export const copiesIn = (folder: string): string => join(folder, 'worktree');
