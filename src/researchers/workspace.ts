/** Where a command works: a git worktree in which only the lab's editable files can be written. */
import { existsSync } from 'node:fs';
import { chmod, lstat, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Edit } from '../lab/edits';
import { Git } from '../lab/git';
import { listTree } from '../lab/objects';
import { addWorktree, changes, removeWorktree } from '../lab/worktree';
import { findSandbox } from '../runner/sandbox';
import type { ResearchContext } from './researcher';

export interface Workspace {
  path: string;
  /** How the other files are kept from being written, in words for the transcript. */
  protection: string;
  /** The command line that runs `argv` in it. */
  enclose(argv: readonly string[]): string[];
  changes(): Promise<Edit[]>;
  remove(): Promise<void>;
}

/** @param folder the proposal's own */
const worktreesIn = (folder: string): string => join(folder, 'worktree');

/** Removes what attempts have left that were killed. Its caller knows that none is at work any more. */
export async function removeWorkspaces(lab: string, folder: string): Promise<void> {
  const worktrees = worktreesIn(folder);
  if (existsSync(worktrees)) await removeWorktree(new Git(lab), worktrees);
}

/** @param lab the lab's folder */
export async function openWorkspace(lab: string, context: ResearchContext): Promise<Workspace> {
  const { folder, incumbent, repair } = context;
  const { editable, caps } = context.lab;
  const git = new Git(lab);
  const commit = repair?.commit ?? incumbent.commit;
  // One for each attempt: one that has lost its place to the next may not have heard of that yet.
  const worktrees = worktreesIn(folder);
  await mkdir(worktrees, { recursive: true });
  const worktree = await addWorktree(git, await mkdtemp(join(worktrees, 'attempt-')), commit);
  const path = worktree.path;
  const { sandbox, detail } = await findSandbox();
  const contained = sandbox === 'bubblewrap';
  // A file that is not there cannot be mounted: it is there, empty, while the command works.
  const made = contained ? await makeMissing(path, editable) : [];
  if (!contained) {
    const others = (await listTree(git, commit)).filter(
      (entry) => entry.mode.startsWith('100') && !editable.includes(entry.path),
    );
    await Promise.all(
      others.map(({ path: file, mode }) => chmod(join(path, file), mode === '100755' ? 0o555 : 0o444)),
    );
  }
  return {
    path,
    protection: contained
      ? 'bubblewrap: of the worktree only the editable files can be written'
      : `no sandbox (${detail}): the other files are only marked read-only, and edits of them are rejected`,
    enclose: (argv) => (contained ? [...bubblewrap(path, editable), ...argv] : [...argv]),
    async changes() {
      await Promise.all(made.map((file) => removeIfEmpty(file)));
      return changes(git, worktree, caps.edit_bytes);
    },
    remove: () => removeWorktree(git, path),
  };
}

/** Everything as it is on the host, network and home folder too; the worktree read-only but for what may be edited. */
function bubblewrap(worktree: string, editable: readonly string[]): string[] {
  const files = editable.map((path) => join(worktree, path));
  return [
    'bwrap',
    '--dev-bind',
    '/',
    '/',
    '--ro-bind',
    worktree,
    worktree,
    ...files.flatMap((file) => ['--bind', file, file]),
    '--die-with-parent',
    '--chdir',
    worktree,
    '--',
  ];
}

async function makeMissing(worktree: string, editable: readonly string[]): Promise<string[]> {
  const made: string[] = [];
  for (const path of editable) {
    const file = join(worktree, path);
    if ((await lstat(file).catch(() => null)) !== null) continue;
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, '', { flag: 'wx' });
    made.push(file);
  }
  return made;
}

async function removeIfEmpty(file: string): Promise<void> {
  const found = await lstat(file).catch(() => null);
  if (found?.size === 0) await rm(file);
}
