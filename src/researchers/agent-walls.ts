/**
 * The walls around a command: it sees the system's programs, its own, and the copy that it works in. Everything is
 * named here; what is not named is not there. Its network is the host's, for it must reach its model.
 */
import { closeSync, existsSync, lstatSync, openSync, readdirSync, readSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { run } from '../process/run-program';
import { kernelSettings } from '../runner/kernel-settings';
import { SYSTEM_FOLDERS, systemFolder } from '../runner/sandbox';
import {
  agentHome,
  CERTIFICATES,
  declaredPaths,
  expandHome,
  isInside,
  isSystem,
  READS,
  real,
  whyHidden,
  WRITES,
} from './agent-settings';

export interface Walled {
  /** Given to `sh -c`: programs that it names by their paths are shown. */
  command: string;
  /** Where it works; may be written. */
  copy: string;
  ledger: string;
  /** Folders that it never sees: the lab, and the text that its data is made from. */
  closed: readonly string[];
}

/** In memory of the host; they are gone with the command. */
const TMP_BYTES = 4 * 1024 ** 3;
const HOME_BYTES = 1024 ** 3;
/** What finding names, certificates, users and time needs. */
const ETC = [
  'ld.so.cache',
  'ld.so.conf',
  'ld.so.conf.d',
  'alternatives',
  'localtime',
  'timezone',
  'locale.alias',
  'hosts',
  'host.conf',
  'nsswitch.conf',
  'gai.conf',
  'services',
  'protocols',
  'passwd',
  'group',
  'ssl/certs',
  'ssl/cert.pem',
  'ssl/openssl.cnf',
  'ca-certificates',
  'ca-certificates.conf',
  'pki/tls/certs',
  'pki/tls/cert.pem',
  'pki/ca-trust',
  'crypto-policies',
  'mime.types',
  'terminfo',
].map((name) => join('/etc', name));
/** Below the home folder: what installs programs for one user. Read-only. */
const HOME_TOOLS = [
  '.local/bin',
  '.local/lib',
  '.local/share/claude',
  '.local/share/fnm',
  '.local/share/mise',
  '.local/share/pnpm',
  '.local/share/uv',
  '.local/share/pipx',
  '.local/pipx',
  '.npm-global',
  '.nvm',
  '.fnm',
  '.volta',
  '.asdf',
  '.bun',
  '.deno',
  '.pyenv',
  '.rustup',
  '.cargo/bin',
  'go/bin',
  'miniconda3',
  'anaconda3',
];
const OTHER_TOOLS = ['/nix/store', '/home/linuxbrew/.linuxbrew'];
/** What makes a folder with `bin` an installation. */
const PREFIX = ['lib', 'lib64', 'libexec', 'share', 'include', 'install', 'pyvenv.cfg'];
/** What an agent runs at its next start, outside these walls, is not the agent's to write. */
const AGENT_SETTINGS = [
  'settings.json',
  'settings.local.json',
  'hooks',
  'plugins',
  'CLAUDE.md',
  'config.toml',
].concat(['hooks.json', 'AGENTS.md', 'agents', 'commands', 'skills', 'prompts', 'rules']);
/** Nobody inside gets back, by a namespace of their own, the rights that are taken here. The first one that works. */
const USER_NAMESPACES = [['--unshare-user', '--disable-userns'], ['--unshare-user'], []];

const TRIAL_MS = 60_000;

/** The beginning of a command line whose rest is what runs inside. @throws AgentSettingsError */
export async function agentWalls({ command, copy, ledger, closed }: Walled): Promise<string[]> {
  const home = agentHome();
  const hidden = (path: string) => whyHidden(path, closed, 'read') !== null;
  const own = ownFolders(closed);
  const writes = outermost([...own, ...declaredPaths(WRITES, closed)]);
  const isWritten = isInOneOf(writes);
  const declared = declaredPaths(READS, closed);
  const programs = [...programFolders(isWritten), ...namedIn(command, isWritten)];
  const others = [
    ...HOME_TOOLS.map((name) => join(homedir(), name)),
    ...OTHER_TOOLS,
    ...CERTIFICATES.flatMap((name) => process.env[name] ?? []),
  ];
  // Where the agent writes, it decides where links lead: nothing is looked up through there.
  const reads = [
    ...[...programs, ...others].filter((path) => !isWritten(path)).flatMap((path) => shown(path, hidden)),
    ...declared,
  ]
    .filter((path) => !isWritten(path))
    .flatMap((path) => [path, real(path)]);
  const readOnly = [
    ...writes.flatMap(settingsIn),
    ...programs.filter(isInOneOf(own)).filter((path) => !own.includes(path)),
    ...declared.filter(isWritten),
  ].filter((path) => existsSync(path) && !leadsThroughLink(path, writes));
  return [
    'bwrap',
    ...(await base()),
    '--size',
    String(TMP_BYTES),
    '--tmpfs',
    '/tmp',
    ...(home === '/tmp' ? [] : ['--size', String(HOME_BYTES), '--tmpfs', home]),
    ...outermost(reads).flatMap((path) => ['--ro-bind', path, path]),
    ...writes.flatMap((path) => ['--bind', path, path]),
    ...readOnly.flatMap((path) => ['--ro-bind', path, path]),
    '--bind',
    copy,
    copy,
    '--ro-bind',
    ledger,
    ledger,
    '--remount-ro',
    '/dev',
    '--remount-ro',
    '/',
    '--setenv',
    'HOME',
    home,
    '--setenv',
    'TMPDIR',
    '/tmp',
    '--chdir',
    copy,
    '--',
  ];
}

/** Namespaces and the system's own files. */
async function base(): Promise<string[]> {
  const walls = [
    '--unshare-pid',
    '--unshare-ipc',
    '--unshare-uts',
    '--unshare-cgroup-try',
    '--cap-drop',
    'ALL',
    '--die-with-parent',
    '--new-session',
    '--ro-bind',
    '/usr',
    '/usr',
    ...SYSTEM_FOLDERS.filter((folder) => existsSync(folder)).flatMap(systemFolder),
    ...ETC.flatMap((file) => ['--ro-bind-try', file, file]),
    // Often a link into /run, which is not there.
    '--ro-bind-try',
    real('/etc/resolv.conf'),
    '/etc/resolv.conf',
    '--proc',
    '/proc',
    ...kernelSettings().flatMap((path) => ['--ro-bind-try', path, path]),
    '--dev',
    '/dev',
  ];
  for (const namespaces of USER_NAMESPACES) {
    const argv = [...namespaces, ...walls];
    const { ok } = await run('bwrap', [...argv, '--', '/bin/sh', '-c', 'exit 0'], { timeoutMs: TRIAL_MS });
    if (ok) return argv;
  }
  return walls;
}

/** Where the known agents store their sessions and sign-in. */
function ownFolders(closed: readonly string[]): string[] {
  const { CLAUDE_CONFIG_DIR, CODEX_HOME } = process.env;
  const folders = [
    CLAUDE_CONFIG_DIR ?? join(homedir(), '.claude'),
    join(homedir(), '.claude.json'),
    CODEX_HOME ?? join(homedir(), '.codex'),
  ];
  return folders.filter((path) => existsSync(path) && whyHidden(path, closed, 'write') === null);
}

/** Is a link on the way down from the folder that may be written? bubblewrap would follow it, to wherever the agent wants. */
function leadsThroughLink(path: string, writes: readonly string[]): boolean {
  for (let at = path; !writes.includes(at); at = dirname(at)) {
    if (lstatSync(at, { throwIfNoEntry: false })?.isSymbolicLink() ?? true) return true;
  }
  return false;
}

const isInOneOf =
  (folders: readonly string[]) =>
  (path: string): boolean =>
    folders.some((folder) => isInside(path, folder));

function settingsIn(folder: string): string[] {
  return AGENT_SETTINGS.map((name) => join(folder, name));
}

/** The folders on PATH, with the rest of the installations that they belong to, and where their links lead. */
function programFolders(isWritten: (path: string) => boolean): string[] {
  const folders = (process.env['PATH'] ?? '')
    .split(':')
    .filter((folder) => folder.startsWith('/') && isFolder(folder));
  return folders
    .filter((folder) => !isSystem(real(folder)))
    .flatMap((folder) => (isWritten(folder) ? [folder] : installation(folder)));
}

function installation(folder: string): string[] {
  const links = readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isSymbolicLink())
    .map((entry) => real(join(folder, entry.name)))
    .filter((path) => existsSync(path) && !isSystem(path));
  return [folder, ...prefixOf(folder), ...links];
}

/** `bin` needs the `lib` beside it. A project's own folder is not shown as a whole. */
function prefixOf(folder: string): string[] {
  const prefix = dirname(folder);
  if (basename(folder) !== 'bin' || prefix === homedir() || prefix === join(homedir(), '.local')) return [];
  return PREFIX.map((name) => join(prefix, name)).filter((path) => existsSync(path));
}

/** The files and folders that a shell command names, with the interpreters of its scripts. */
function namedIn(command: string, isWritten: (path: string) => boolean): string[] {
  const words = command.match(/[^\s"';|&()<>=:]+/g) ?? [];
  const paths = words
    .map(expandHome)
    .filter((word) => word.startsWith('/') && word !== '/' && existsSync(word) && !isSystem(word))
    .map((word) => resolve(word));
  const onPath = words.filter((word) => !word.includes('/')).flatMap(findProgram);
  const files = [...paths, ...onPath];
  return files.flatMap((path) => (isWritten(path) ? [path] : [path, ...interpreterOf(path)]));
}

/** Only outside the folders that are shown anyway: PATH may name the home folder itself. */
function findProgram(name: string): string[] {
  return (process.env['PATH'] ?? '')
    .split(':')
    .filter((folder) => folder.startsWith('/'))
    .map((folder) => join(folder, name))
    .filter((path) => !isSystem(path) && isFile(path))
    .slice(0, 1);
}

function interpreterOf(path: string): string[] {
  if (!isFile(path)) return [];
  const program = /^#!\s*(\S+)/.exec(firstBytes(path))?.[1] ?? '';
  if (!program.startsWith('/') || isSystem(program) || !existsSync(program)) return [];
  return [program, ...prefixOf(dirname(program))];
}

function firstBytes(path: string): string {
  const file = openSync(path, 'r');
  try {
    const bytes = Buffer.alloc(256);
    return bytes.toString('utf8', 0, readSync(file, bytes));
  } finally {
    closeSync(file);
  }
}

/** A program with its folder, for a script has others beside it; where that holds too much, the file alone. */
function shown(path: string, hidden: (path: string) => boolean): string[] {
  if (!existsSync(path)) return [];
  if (isFolder(path)) return hidden(path) ? [] : [path];
  return [path, real(path)].flatMap((file) => (hidden(dirname(file)) ? [file] : [dirname(file)]));
}

/** Without what another one holds. */
function outermost(paths: readonly string[]): string[] {
  const all = [...new Set(paths)].filter((path) => !isSystem(path));
  return all
    .filter((path) => !all.some((other) => other !== path && isInside(path, other)))
    .toSorted((a, b) => a.length - b.length);
}

const isFile = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isFile() ?? false;
const isFolder = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
