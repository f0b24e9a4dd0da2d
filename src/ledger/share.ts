/** Pushes and fetches a whole study: branch, ledger, candidates and proposals. Plain `git push` would omit most of its refs. */
import { simpleGit, type SimpleGit } from 'simple-git';
import { configEnvironment, redact, type Git } from './git';
import { BranchCheckedOut } from './branch';
import { LabError } from './git';
import { recordedNumbers } from './ledger';
import { baseRef, branchRef, ledgerRef, namespace } from './refs';

/** The study or the remote does not exist. */
export class NotThere extends Error {
  override name = 'NotThere';
}

/** The same study has continued in two places. */
export class Diverged extends Error {
  override name = 'Diverged';
}

/**
 * Pushes a study, all or nothing, and overwrites no recorded experiment. Running experiments are left out.
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
    // Overrides the repository's setting, which could name any program.
    '--receive-pack=git-receive-pack',
    '--',
    remote,
    ...specs,
  ]);
}

/**
 * Fetches a study from a remote, all or nothing; a study that exists here moves forward. Experiments that run here stay as
 * they are.
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
    // An experiment that was running here may have a record now: then fetch it as the remote has it.
  } while (left.some((ref) => !still.includes(ref)));
}

/**
 * Refs that only move forward: if one would not, the study has diverged, and nothing is transferred. The base is a pattern
 * since a mirror may have only the branches.
 */
const fixed = (tag: string): string[] => [branchRef(tag), ledgerRef(tag), `${baseRef(tag)}*`];

const same = (ref: string): string => `${ref}:${ref}`;

/**
 * The refs of experiments, as patterns: a study may have more refs than a command line can hold. Forced, since a repair
 * replaces a candidate that was not recorded yet.
 */
const numbered = (tag: string): string[] =>
  ['exp', 'proposal', 'crashed'].map((kind) => `+${same(`${namespace(tag)}/${kind}/*`)}`);

const without = (refs: readonly string[]): string[] => refs.map((ref) => `^${ref}`);

/** The refs of experiments without a record, usually of one. */
async function underWay(git: Git, tag: string): Promise<string[]> {
  if ((await git.resolve(ledgerRef(tag))) === null) return [];
  // Refs first: an experiment that gets its record in between counts as recorded.
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

/** git's messages for a remote or folder that is not a repository. */
const NO_REMOTE = /does not appear to be a git repository|No such remote|No such file or directory/;

/** Lines in which git gives the reason, the most specific first. */
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
      `${taken} is checked out here, and fetching would change its files: check out another branch and fetch again`,
    );
  }
  if (/non-fast-forward|\[rejected\]|fetch first|already exists|stale info/.test(said)) {
    throw new Diverged(
      `study ${tag} here and at ${name} have diverged: nothing was changed. ` +
        `A study runs in one place; fetch the other one into a new clone, or continue under another tag`,
    );
  }
  const lines = said.split('\n');
  const line =
    WORDS_OF_FAILURE.map((words) => lines.find((text) => words.test(text))).find(Boolean) ?? said.trim();
  const message = `cannot ${verb} study ${tag} ${verb === 'push' ? 'to' : 'from'} ${name}: ${redact(line.trim())}. Check the remote's address and your access to it`;
  throw NO_REMOTE.test(said) ? new NotThere(message) : new LabError(message);
}

/** Variables that give git the user's credentials; other `GIT_…` variables could redirect it to another repository. */
const CREDENTIALS = [
  'GIT_SSH',
  'GIT_SSH_COMMAND',
  'GIT_ASKPASS',
  'SSH_ASKPASS',
  'GIT_CONFIG_GLOBAL',
  'GIT_SSL_CAINFO',
];
/** Variables that name programs for git to start. Pushing and fetching need none, and simple-git refuses them. */
const PROGRAMS = /^(GIT_.*|EDITOR|VISUAL|PAGER)$/;

/**
 * Runs git with the user's settings and credentials, but without the programs that the repository's settings name: hooks, ssh
 * commands, credential helpers.
 * @returns git's message when it failed; null on success
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

/** The settings for connecting and signing in from the user's and the system's configuration. */
async function userSettings(directory: string, env: Record<string, string | undefined>): Promise<Setting[]> {
  const settings: Setting[] = [];
  for (const scope of ['--system', '--global']) {
    const asked = ['config', scope, '--includes', '--null', '--get-regexp', WAYS_IN];
    // git exits with 1 when nothing matches, and fails when the file does not exist.
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

/** Settings that override the repository's. */
function overRepository(user: readonly Setting[]): Setting[] {
  const { GIT_SSH, SSH_ASKPASS } = process.env;
  const last = (key: string) => user.findLast(([name]) => name === key)?.[1];
  return [
    ['core.hooksPath', '/dev/null'],
    ['core.fsmonitor', 'false'],
    ['core.alternateRefsCommand', ':'],
    ['core.sshCommand', last('core.sshcommand') ?? (GIT_SSH === undefined ? 'ssh' : quoted(GIT_SSH))],
    ['core.askPass', last('core.askpass') ?? SSH_ASKPASS ?? ''],
    // An empty value clears the repository's.
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

/** The text as one shell word. */
const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;

function unknownStudy(place: string, tag: string): NotThere {
  return new NotThere(`${place} has no study ${tag}: check the tag`);
}
