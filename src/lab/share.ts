/** Carries a whole study, branch, ledger, candidates and proposals, to a remote and back: plain `git push` takes none. */
import { redact, type Git } from './git';
import { LabError } from './lab';
import { branchName, branchRef, ledgerRef, namespace } from './refs';

/**
 * Pushes a study, all of it or nothing, and overwrites nothing.
 * @throws LabError if there is no such study or remote, or if the remote's has gone another way
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
 * @throws LabError if the remote has no such study, or if the one here has gone another way
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

/** Where git says why, the most telling first. */
const WORDS_OF_FAILURE = [/\[remote rejected\]/, /^(fatal|error|ERROR)/];

async function carry(git: Git, remote: string, tag: string, args: readonly string[]): Promise<void> {
  const { exitCode, stdout, stderr } = await git.asUser(args);
  if (exitCode === 0) return;
  const said = `${stdout}\n${stderr}`;
  const verb = args[0] ?? '';
  const name = redact(remote);
  if (said.includes("couldn't find remote ref")) throw unknownStudy(name, tag);
  if (said.includes('refusing to fetch into branch')) {
    throw new LabError(
      `${branchName(tag)} is checked out here, and fetching would change its files: check out another branch first`,
    );
  }
  if (/non-fast-forward|\[rejected\]|fetch first|already exists|stale info/.test(said)) {
    throw new LabError(
      `study ${tag} here and at ${name} have gone different ways: nothing was changed. ` +
        `A study runs in one place; fetch the other one into a fresh clone, or go on under another tag`,
    );
  }
  const lines = said.split('\n');
  const line =
    WORDS_OF_FAILURE.map((words) => lines.find((text) => words.test(text))).find(Boolean) ?? said.trim();
  throw new LabError(
    `cannot ${verb} study ${tag} ${verb === 'push' ? 'to' : 'from'} ${name}: ${redact(line.trim())}. Check the remote's address and your access to it`,
  );
}

function unknownStudy(place: string, tag: string): LabError {
  return new LabError(`${place} has no study ${tag}: check the tag`);
}
