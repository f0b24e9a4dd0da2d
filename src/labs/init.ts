/** Makes a lab: a fresh git repository with the default trainer in one commit. */
import { cp, mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { parseDocument } from 'yaml';
import { parseLabConfig } from './lab-yaml';
import { Git } from '../ledger/git';
import { LabError } from '../ledger/git';

export interface InitOptions {
  /** The folder whose files the lab begins with. */
  trainer: string;
  /** Replaces `data.source` of its lab.yaml. */
  source?: string;
}

/** Python and its tools leave these beside sources; dot files are theirs too. */
const LEFTOVERS = /^(__pycache__|node_modules|.*\.pyc|.*\.egg-info|\.(?!gitignore$|gitattributes$).*)$/;

/**
 * Makes the lab at `directory`, all or nothing, and gives its first commit.
 * @throws LabError if there is something already, LabConfigError if the trainer's lab.yaml is not valid
 */
export async function initLab(directory: string, { trainer, source }: InitOptions): Promise<string> {
  const target = resolve(directory);
  const found = await readdir(target).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw new LabError(`${target} is not a folder: name one that is empty or not there yet`);
  });
  if (found.length > 0)
    throw new LabError(`${target} is not empty: name a folder that is empty or not there yet`);
  await mkdir(dirname(target), { recursive: true });
  const partial = await mkdtemp(join(dirname(target), `.${basename(target)}.partial-`));
  try {
    await cp(trainer, partial, {
      recursive: true,
      filter: (path) => path === trainer || !LEFTOVERS.test(basename(path)),
    });
    await configure(join(partial, 'lab.yaml'), source);
    const commit = await commitAll(new Git(partial));
    await rename(partial, target);
    return commit;
  } finally {
    await rm(partial, { recursive: true, force: true });
  }
}

async function configure(path: string, source: string | undefined): Promise<void> {
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    throw new LabError(`${dirname(path)} has no lab.yaml: it is no trainer`, { cause: error });
  });
  const document = parseDocument(text);
  if (source !== undefined) document.setIn(['data', 'source'], source);
  // Only a lab.yaml that was changed is written anew: its author's layout stays.
  const configured = source === undefined ? text : document.toString({ lineWidth: 0 });
  parseLabConfig(configured, path);
  await writeFile(path, configured);
}

async function commitAll(git: Git): Promise<string> {
  await git.bytes(['init', '--quiet', '--template=', '--initial-branch=main']);
  await git.bytes(['add', '--all']);
  await git.bytes(['commit', '--quiet', '--message', 'Begin the lab with the default trainer']);
  return git.text(['rev-parse', 'HEAD']);
}
