/** A lab: a git repository of the user's with lab.yaml. It is read here, checked, and never written. */
import { lstat, realpath, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { labId } from '../process/paths';
import { LabConfigError, parseLabConfig, type LabConfig } from './lab-yaml';
import { Git, GitError, LabError } from '../ledger/git';
import { listTree, readText, type TreeEntry } from '../ledger/objects';

export interface Lab {
  /** Its real path. */
  root: string;
  /** The short id that keys its state on this host. */
  id: string;
  git: Git;
  /** The commit that HEAD is at: the base of a study that starts now. */
  head: string;
  /** lab.yaml of that commit. */
  config: LabConfig;
}

/**
 * Opens a lab for a new study.
 * @throws LabError, LabConfigError
 */
export async function openLab(directory: string): Promise<Lab> {
  const git = await openRepository(directory);
  const root = git.directory;
  const head = await git.resolve('HEAD^{commit}');
  if (head === null)
    throw new LabError(`${root} has no commit yet: commit the lab's files, then start again`);
  const config = await readLabConfigAt(git, head);
  await checkBranches(git);
  await checkFiles(git, head, config);
  await checkClean(git, head, config);
  return { root, id: labId(root), git, head, config };
}

/**
 * The lab's repository, whatever state its files are in: for reading studies.
 * @throws LabError if the directory is not the top of a git repository
 */
export async function openRepository(directory: string): Promise<Git> {
  const root = await realpath(directory).catch(() => null);
  if (root === null || !(await stat(root)).isDirectory()) {
    throw new LabError(
      `there is no folder ${directory}: make a lab with \`autoresearch init DIR\`, or name another`,
    );
  }
  const top = await new Git(root).text(['rev-parse', '--show-toplevel']).catch((error: unknown) => {
    if (!(error instanceof GitError) || error.exitCode === null) throw error;
    if (error.stderr.includes('work tree')) {
      throw new LabError(`${root} is a bare git repository: clone it, and use the clone as the lab`);
    }
    throw new LabError(
      `${root} is not a git repository: make a lab with \`autoresearch init DIR\`, or run \`git init\` and commit`,
    );
  });
  if ((await realpath(top)) !== root) {
    throw new LabError(
      `${root} is inside the git repository ${top}: a lab is a whole repository; use ${top}, or make a new one`,
    );
  }
  return new Git(root);
}

/** lab.yaml as a commit has it. @throws LabConfigError */
export async function readLabConfigAt(git: Git, commit: string): Promise<LabConfig> {
  const text = await readText(git, commit, 'lab.yaml');
  if (text === null) {
    throw new LabConfigError(
      `commit ${commit.slice(0, 7)} of ${git.directory} has no lab.yaml: commit one, or make a lab with \`autoresearch init DIR\``,
    );
  }
  return parseLabConfig(text, join(git.directory, 'lab.yaml'));
}

/**
 * git has refs as files: a branch `autoresearch` leaves no place for `autoresearch/nov21`.
 * @throws LabError
 */
export async function checkBranches(git: Git): Promise<void> {
  for (const name of ['autoresearch', 'autoresearch-ledger']) {
    if ((await git.resolve(`refs/heads/${name}`)) === null) continue;
    throw new LabError(
      `${git.directory} has a branch "${name}", which leaves no place for ${name}/<tag>: rename it (\`git branch -m ${name} other\`)`,
    );
  }
}

/** @throws LabError for a submodule */
export function checkEntry({ path, mode }: TreeEntry): void {
  if (mode === '160000')
    throw new LabError(`"${path}" is a submodule: a lab's files have to be in the lab itself`);
}

async function checkFiles(git: Git, head: string, { editable, locked, program }: LabConfig): Promise<void> {
  const tree = new Map((await listTree(git, head)).map((entry) => [entry.path, entry]));
  for (const entry of tree.values()) checkEntry(entry);
  for (const path of [...editable, ...locked, program]) {
    const entry = tree.get(path);
    if (entry === undefined) {
      throw new LabError(
        `lab.yaml names "${path}", but commit ${head.slice(0, 7)} has no such file: commit it, or correct lab.yaml`,
      );
    }
    if (!entry.mode.startsWith('100')) {
      throw new LabError(`lab.yaml names "${path}", which is not a regular file: put the file itself there`);
    }
  }
}

async function checkClean(git: Git, head: string, { editable, locked, program }: LabConfig): Promise<void> {
  // Both look into files that are as young as the index.
  const env = await git.withoutFilters();
  const changed = await git
    .bytes(['diff-index', '-z', '--name-only', head], { env })
    .then(async (listing) => {
      if (listing.length === 0) return [];
      // diff-index believes the index's dates; `status` looks into the files, without writing the index.
      const status = await git.bytes(
        ['status', '--porcelain=v1', '-z', '--untracked-files=no', '--no-renames'],
        { env },
      );
      return status
        .toString('utf8')
        .split('\0')
        .filter(Boolean)
        .map((line) => line.slice(3));
    });
  // A file that git was told to take as unchanged is still the user's, and would not be what is trained.
  const gone = await Promise.all(
    [...editable, ...locked].map(async (path) =>
      (await lstat(join(git.directory, path)).catch(() => null)) === null ? path : null,
    ),
  );
  // What the human tells the researcher is read from the working tree, committed or not.
  const dirty = [...new Set([...changed, ...gone.filter((path) => path !== null)])].filter(
    (path) => path !== program,
  );
  if (dirty.length === 0) return;
  const shown = dirty.slice(0, 5).join(', ') + (dirty.length > 5 ? `, and ${dirty.length - 5} more` : '');
  throw new LabError(
    `${git.directory} has changes that are not committed (${shown}): a study starts from a commit; commit or stash them`,
  );
}
