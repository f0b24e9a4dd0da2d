/** Carries a whole study, branch, ledger, candidates and proposals, to a remote and back: plain `git push` takes none. */
import { simpleGit, type SimpleGit } from 'simple-git';
import { configEnvironment, redact, type Git } from './git';
import { BranchCheckedOut } from './branch';
import { LabError } from './git';
import { recordedNumbers } from './ledger';
import { baseRef, branchRef, ledgerRef, namespace } from './refs';

/** There is no such study, or no such remote. */
export class NotThere extends Error {
  override name = 'NotThere';
}

/** The same study has gone on in two places. */
export class Diverged extends Error {
  override name = 'Diverged';
}

/**
 * Pushes a study, all of it or nothing, and overwrites nothing that has a record. Experiments under way are left out.
 * @throws NotThere, Diverged, LabError if git fails otherwise
 */
export async function push(git: Git, remote: string, tag: string): Promise<void> {
  if ((await git.resolve(ledgerRef(tag))) === null) throw unknownStudy(git.directory, tag);
  const heads = await refsOf(git, fixed(tag));
  const specs = [...heads.map(same), ...numbered(tag), ...without(await underWay(git, tag))];
  await carry(git, remote, tag, [
    'push',
    '--atomic',
    '--porcelain',
    '--no-follow-tags',
    // Of settings for a remote's program the first one counts, which is the repository's.
    '--receive-pack=git-receive-pack',
    '--',
    remote,
    ...specs,
  ]);
}

/**
 * Fetches a study as it is at the remote, all of it or nothing; a study that is here already is brought forward. What is
 * under way here stays as it is.
 * @throws NotThere, Diverged, BranchCheckedOut, LabError if git fails otherwise
 */
export async function fetch(git: Git, remote: string, tag: string): Promise<void> {
  let left: string[];
  let still: string[] = await underWay(git, tag);
  do {
    left = still;
    await carry(git, remote, tag, [
      'fetch',
      '--atomic',
      '--no-tags',
      '--no-prune',
      '--no-write-fetch-head',
      '--refmap=',
      '--upload-pack=git-upload-pack',
      '--',
      remote,
      ...fixed(tag).map(same),
      ...numbered(tag),
      ...without(left),
    ]);
    still = await underWay(git, tag);
    // What was under way when this lab last fetched has a record by now: then it is as the remote has it.
  } while (left.some((ref) => !still.includes(ref)));
}

/**
 * They only ever go forward: where one would not, the study has gone different ways, and nothing at all is carried. The base as a
 * pattern, for a mirror may have the branches alone.
 */
const fixed = (tag: string): string[] => [branchRef(tag), ledgerRef(tag), `${baseRef(tag)}*`];

const same = (ref: string): string => `${ref}:${ref}`;

/**
 * What experiments have, by patterns: a study may have more refs than a command line has room for. Forced, for before its
 * record a candidate gives its place to its repair, and an older version carried it all the same.
 */
const numbered = (tag: string): string[] =>
  ['exp', 'proposal', 'crashed'].map((kind) => `+${same(`${namespace(tag)}/${kind}/*`)}`);

const without = (refs: readonly string[]): string[] => refs.map((ref) => `^${ref}`);

/** The refs of experiments that have no record yet, as a rule of one. */
async function underWay(git: Git, tag: string): Promise<string[]> {
  if ((await git.resolve(ledgerRef(tag))) === null) return [];
  // In this order: an experiment that is recorded meanwhile is over.
  const refs = await refsOf(git, [`${namespace(tag)}/`]);
  const recorded = new Set(await recordedNumbers(git, tag));
  return refs.filter((ref) => {
    const number = /\/(\d+)(-\d+)?$/.exec(ref)?.[1];
    return number !== undefined && !recorded.has(Number(number));
  });
}

async function refsOf(git: Git, places: readonly string[]): Promise<string[]> {
  const refs = await git.text(['for-each-ref', '--format=%(refname)', ...places]);
  return refs.split('\n').filter(Boolean);
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

/** By these the user's credentials reach git; other `GIT_…` variables could send it to another repository. */
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
 * Runs git as the user would, with their own settings and credentials, but without the programs that the repository's
 * settings name: hooks, ssh commands, credential helpers.
 * @returns what git said when it failed, null when it did not
 */
async function asUser(directory: string, args: readonly string[]): Promise<string | null> {
  const inherited = Object.entries(process.env).filter(
    ([name]) => CREDENTIALS.includes(name) || !PROGRAMS.test(name),
  );
  const env = { ...Object.fromEntries(inherited), LC_ALL: 'C' };
  const settings = configEnvironment(overRepository(await userSettings(directory, env)));
  const ours: Record<string, string> = { ...settings, GIT_PROXY_COMMAND: '' };
  try {
    await userGit(directory, Object.keys(ours))
      .env({ ...env, ...ours })
      .raw([...args]);
    return null;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

function userGit(directory: string, variables: readonly string[]): SimpleGit {
  return simpleGit(directory, {
    allowEnvironment: [...CREDENTIALS, ...variables],
    unsafe: {
      allowUnsafeSshCommand: true,
      allowUnsafeAskPass: true,
      allowUnsafeConfigPaths: true,
      allowUnsafeConfigEnvCount: true,
      allowUnsafeCredentialHelper: true,
      allowUnsafeGitProxy: true,
      allowUnsafeHooksPath: true,
      allowUnsafeFsMonitor: true,
      allowUnsafePack: true,
      allowUnsafeProtocolOverride: true,
    },
  });
}

type Setting = readonly [key: string, value: string];

/** How the user's own configuration, and the system's, connects and signs in. */
async function userSettings(directory: string, env: Record<string, string | undefined>): Promise<Setting[]> {
  const settings: Setting[] = [];
  for (const scope of ['--system', '--global']) {
    const asked = ['config', scope, '--includes', '--null', '--get-regexp', WAYS_IN];
    // git exits with 1 where there are none, and fails where there is no such file.
    const said = await userGit(directory, [])
      .env(env)
      .raw(asked)
      .catch(() => '');
    for (const line of said.split('\0').filter(Boolean)) {
      const end = line.indexOf('\n');
      settings.push(end < 0 ? [line, 'true'] : [line.slice(0, end), line.slice(end + 1)]);
    }
  }
  return settings;
}

const WAYS_IN = '^(credential\\..*|core\\.(sshcommand|askpass))$';

/** Settings that win over those of the repository. */
function overRepository(user: readonly Setting[]): Setting[] {
  const { GIT_SSH, SSH_ASKPASS } = process.env;
  const last = (key: string) => user.findLast(([name]) => name === key)?.[1];
  return [
    ['core.hooksPath', '/dev/null'],
    ['core.fsmonitor', 'false'],
    ['core.alternateRefsCommand', ':'],
    ['core.sshCommand', last('core.sshcommand') ?? (GIT_SSH === undefined ? 'ssh' : quoted(GIT_SSH))],
    ['core.askPass', last('core.askpass') ?? SSH_ASKPASS ?? ''],
    // An empty one forgets those of the repository.
    ['credential.helper', ''],
    ...user.filter(([name]) => name.startsWith('credential.')),
    ['protocol.ext.allow', 'never'],
    ['push.gpgSign', 'false'],
    ['push.recurseSubmodules', 'no'],
    ['fetch.recurseSubmodules', 'false'],
    ['maintenance.auto', 'false'],
    ['gc.auto', '0'],
  ];
}

/** One word for a shell. */
const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;

function unknownStudy(place: string, tag: string): NotThere {
  return new NotThere(`${place} has no study ${tag}: check the tag`);
}
