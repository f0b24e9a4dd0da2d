/**
 * A working copy for researchers that want to edit files: a git worktree under the state folder. The user's own
 * checkout is never touched. What was changed in it is read as edits, whether the researcher committed or not.
 */
import { constants } from 'node:fs';
import { lstat, mkdir, mkdtemp, open, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { isText } from './apply-edits';
import { MAX_EDITS, type Edit } from './edits';
import type { Git } from './git';
import { listTree, readBlobs, type TreeEntry } from './objects';

export interface Worktree {
  path: string;
  /** The commit that it began from. */
  commit: string;
}

/** Makes a worktree at `path`, in place of whatever an interrupted one left there. Its caller owns that path. */
export async function addWorktree(git: Git, path: string, commit: string): Promise<Worktree> {
  await removeWorktree(git, path);
  await mkdir(dirname(path), { recursive: true });
  await git.bytes(['worktree', 'add', '--quiet', '--detach', '--force', path, commit]);
  return { path, commit };
}

/** Removes a worktree, or all in a folder: whole, half made or with their folder gone; nothing happens if there is none. */
export async function removeWorktree(git: Git, path: string): Promise<void> {
  // The folder first: git refuses to remove one whose `.git` is damaged, but forgets one that is gone.
  await rm(path, { recursive: true, force: true });
  const parent = await realpath(dirname(path)).catch(() => dirname(path));
  const names = [path, join(parent, basename(path))];
  for (const { path: known } of await listWorktrees(git)) {
    // Forced twice: also one that git has locked because it was being made.
    if (names.some((name) => known === name || known.startsWith(`${name}/`)))
      await git.bytes(['worktree', 'remove', '--force', '--force', known]);
  }
}

/** All working trees of the repository with the branch that each has checked out. */
export async function listWorktrees(git: Git): Promise<{ path: string; branch: string | null }[]> {
  const listing = await git.text(['worktree', 'list', '--porcelain', '-z']);
  return listing
    .split('\0\0')
    .filter(Boolean)
    .map((block) => {
      const lines = block.split('\0');
      const value = (key: string): string | null =>
        lines.find((line) => line.startsWith(`${key} `))?.slice(key.length + 1) ?? null;
      return { path: value('worktree') ?? '', branch: value('branch') };
    });
}

/**
 * What is different from the worktree's commit, as edits with whole contents: committed or not, staged or not,
 * new files too, ignored ones not. What no edit can say is an edit that says so, and is refused when it is applied.
 * @param limit bytes of one file above which its content is not read
 */
export async function changes(git: Git, { path: root, commit }: Worktree, limit: number): Promise<Edit[]> {
  const before = new Map((await listTree(git, commit)).map((entry) => [entry.path, entry]));
  const paths = await changedPaths(git, root, commit);
  const edits: Edit[] = [];
  for (const path of paths.slice(0, MAX_EDITS - 1)) {
    const edit = await readChange(git, root, path, before.get(path) ?? null, limit);
    if (edit !== null) edits.push(edit);
  }
  const more = paths.length - (MAX_EDITS - 1);
  if (more > 0)
    edits.push({ path: paths.at(-1) ?? '', unsupported: `it is one of ${more} more changed files` });
  return edits;
}

/**
 * The lab's own repository and an index of our own look at the files: whatever was done to the worktree's `.git`
 * has no say in it.
 */
async function changedPaths(git: Git, root: string, commit: string): Promise<string[]> {
  const folder = await mkdtemp(join(tmpdir(), 'autoresearch-index-'));
  try {
    const repository = await git.text(['rev-parse', '--path-format=absolute', '--git-common-dir']);
    const env = { GIT_INDEX_FILE: join(folder, 'index'), GIT_DIR: repository, GIT_WORK_TREE: root };
    await git.bytes(['read-tree', commit], { env, cwd: root });
    const listing = await git.text(
      ['ls-files', '-z', '--modified', '--deleted', '--others', '--exclude-standard'],
      { env, cwd: root },
    );
    return [...new Set(listing.split('\0').filter(Boolean))].toSorted();
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function readChange(
  git: Git,
  root: string,
  path: string,
  before: TreeEntry | null,
  limit: number,
): Promise<Edit | null> {
  if (path.endsWith('/')) return { path, unsupported: 'it is a git repository of its own' };
  const file = join(root, path);
  const now = await lstat(file).catch(() => null);
  if (now === null) return { path, delete: true };
  if (now.isSymbolicLink()) return { path, unsupported: 'it was made a symbolic link' };
  if (!now.isFile()) return { path, unsupported: 'it is not a regular file' };
  if (now.size > limit)
    return { path, unsupported: `it has ${now.size} bytes, caps.edit_bytes allows ${limit}` };
  const executable = (now.mode & 0o100) !== 0;
  if (executable !== (before?.mode === '100755'))
    return { path, unsupported: `it was made ${executable ? '' : 'not '}executable` };
  const content = await readRegular(file);
  if (!isText(content)) return { path, unsupported: 'it is not UTF-8 text' };
  const [old] = before === null ? [] : await readBlobs(git, [before.id]);
  return old !== undefined && old.toString('latin1') === content.toString('latin1')
    ? null
    : { path, content: content.toString('utf8') };
}

/** The file may have become a link since it was looked at. */
async function readRegular(path: string): Promise<Buffer> {
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    return await file.readFile();
  } finally {
    await file.close();
  }
}
