/** Carries a whole study, branch, ledger, candidates and proposals, to a remote and back: plain `git push` takes none. */
import { simpleGit } from 'simple-git';
import { redact, type Git } from './git';
import { BranchCheckedOut } from './branch';
import { LabError } from './lab';
import { branchRef, ledgerRef, namespace } from './refs';

/** There is no such study, or no such remote. */
export class NotThere extends Error {
  override name = 'NotThere';
}

/** The same study has gone on in two places. */
export class Diverged extends Error {
  override name = 'Diverged';
}

/**
 * Pushes a study, all of it or nothing, and overwrites nothing.
 * @throws NotThere, Diverged, LabError if git fails otherwise
 */
export async function push(git: Git, remote: string, tag: string): Promise<void> {
  if ((await git.resolve(ledgerRef(tag))) === null) throw unknownStudy(git.directory, tag);
  const refs = await git.text([
    'for-each-ref',
    '--format=%(refname)',
    branchRef(tag),
    ledgerRef(tag),
    `${namespace(tag)}/`,
  ]);
  const specs = refs.split('\n').map((ref) => `${ref}:${ref}`);
  await carry(git, remote, tag, [
    'push',
    '--atomic',
    '--porcelain',
    '--no-follow-tags',
    '--',
    remote,
    ...specs,
  ]);
}

/**
 * Fetches a study as it is at the remote, all of it or nothing; a study that is here already is brought forward.
 * @throws NotThere, Diverged, BranchCheckedOut, LabError if git fails otherwise
 */
export async function fetch(git: Git, remote: string, tag: string): Promise<void> {
  const heads = [branchRef(tag), ledgerRef(tag)].map((ref) => `${ref}:${ref}`);
  const rest = `${namespace(tag)}/*:${namespace(tag)}/*`;
  await carry(git, remote, tag, [
    'fetch',
    '--atomic',
    '--no-tags',
    '--no-write-fetch-head',
    '--refmap=',
    '--',
    remote,
    ...heads,
    rest,
  ]);
}

/** git's words for a name or a folder that is no repository. */
const NO_REMOTE = /does not appear to be a git repository|No such remote|No such file or directory/;

/** Where git says why, the most telling first. */
const WORDS_OF_FAILURE = [/\[remote rejected\]/, /^(fatal|error|ERROR)/];

async function carry(git: Git, remote: string, tag: string, args: readonly string[]): Promise<void> {
  const said = await asUser(git.directory, args);
  if (said === null) return;
  const verb = args[0] ?? '';
  const name = redact(remote);
  if (said.includes("couldn't find remote ref")) throw unknownStudy(name, tag);
  const taken = /refusing to fetch into branch 'refs\/heads\/(.+?)'/.exec(said)?.[1];
  if (taken !== undefined) {
    throw new BranchCheckedOut(
      `${taken} is checked out here, and fetching would change its files: check out another branch first`,
    );
  }
  if (/non-fast-forward|\[rejected\]|fetch first|already exists|stale info/.test(said)) {
    throw new Diverged(
      `study ${tag} here and at ${name} have gone different ways: nothing was changed. ` +
        `A study runs in one place; fetch the other one into a fresh clone, or go on under another tag`,
    );
  }
  const lines = said.split('\n');
  const line =
    WORDS_OF_FAILURE.map((words) => lines.find((text) => words.test(text))).find(Boolean) ?? said.trim();
  const message = `cannot ${verb} study ${tag} ${verb === 'push' ? 'to' : 'from'} ${name}: ${redact(line.trim())}. Check the remote's address and your access to it`;
  throw NO_REMOTE.test(said) ? new NotThere(message) : new LabError(message);
}

/** How the user's credentials reach git; other `GIT_…` variables could send it to another repository. */
const CREDENTIALS = [
  'GIT_SSH',
  'GIT_SSH_COMMAND',
  'GIT_ASKPASS',
  'SSH_ASKPASS',
  'GIT_CONFIG_GLOBAL',
  'GIT_SSL_CAINFO',
];
/** Variables that make git start programs which pushing and fetching have no use for: simple-git refuses them. */
const PROGRAMS = /^(GIT_.*|EDITOR|VISUAL|PAGER)$/;

/**
 * Runs git as the user would, with their configuration, credentials and hooks. simple-git refuses remotes and options
 * that would run programs (`ext::…`, `--upload-pack`).
 * @returns what git said when it failed, null when it did not
 */
async function asUser(directory: string, args: readonly string[]): Promise<string | null> {
  const inherited = Object.entries(process.env).filter(
    ([name]) => CREDENTIALS.includes(name) || !PROGRAMS.test(name),
  );
  const env = { ...Object.fromEntries(inherited), LC_ALL: 'C' };
  const git = simpleGit(directory, {
    allowEnvironment: CREDENTIALS,
    unsafe: { allowUnsafeSshCommand: true, allowUnsafeAskPass: true, allowUnsafeConfigPaths: true },
  });
  try {
    await git.env(env).raw([...args]);
    return null;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

function unknownStudy(place: string, tag: string): NotThere {
  return new NotThere(`${place} has no study ${tag}: check the tag`);
}
