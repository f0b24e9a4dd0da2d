/**
 * The bubblewrap sandbox of a command: it sees the system's programs, its own installation, and its copy of the lab. This file
 * lists everything that is visible; all else is hidden. It shares the host's network, since it must reach its model.
 */
import { closeSync, existsSync, lstatSync, openSync, readdirSync, readSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { run } from '../process/run-program';
import { kernelSettings } from '../runner/kernel-settings';
import { systemView } from '../runner/sandbox';
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
  /** For `sh -c`: programs that it names by path become visible. */
  command: string;
  /** Absolute path of the working copy; writable. */
  copy: string;
  /** Absolute path of the ledger's JSON lines; read-only. */
  ledger: string;
  /** Absolute paths that stay hidden: the lab, and the text that its data is made from. */
  closed: readonly string[];
}

/** Bytes of host memory for the sandbox's own /tmp and home folder, which end with the command. */
const TMP_BYTES = 4 * 1024 ** 3;
const HOME_BYTES = 1024 ** 3;
/** Files for name resolution, certificates, users and time. */
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
/** Below the home folder: where installers put one user's programs. Read-only. */
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
/** What belongs to an installation beside its `bin`. */
const PREFIX = ['lib', 'lib64', 'libexec', 'share', 'include', 'install', 'pyvenv.cfg'];
/** Read-only: an agent would run what these hold at its next start, outside the sandbox. */
const AGENT_SETTINGS = [
  'settings.json',
  'settings.local.json',
  'hooks',
  'plugins',
  'CLAUDE.md',
  'config.toml',
].concat(['hooks.json', 'AGENTS.md', 'agents', 'commands', 'skills', 'prompts', 'rules']);
/** Options that prevent processes inside from regaining rights through a user namespace; the first that works is used. */
const USER_NAMESPACES = [['--unshare-user', '--disable-userns'], ['--unshare-user'], []];

const TRIAL_MS = 60_000;

/** The bwrap command line, up to `--`; append the command that runs inside. @throws AgentSettingsError */
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
  // The agent controls the links in the folders that it writes: resolve no path through these.
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

/** The arguments for namespaces and system files. */
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
    ...systemView(ETC),
    // Often a link into /run, which the sandbox does not have.
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

/** The folders where known agents store sessions and sign-ins. */
function ownFolders(closed: readonly string[]): string[] {
  const { CLAUDE_CONFIG_DIR, CODEX_HOME } = process.env;
  const folders = [
    CLAUDE_CONFIG_DIR ?? join(homedir(), '.claude'),
    join(homedir(), '.claude.json'),
    CODEX_HOME ?? join(homedir(), '.codex'),
  ];
  return folders.filter((path) => existsSync(path) && whyHidden(path, closed, 'write') === null);
}

/** True if a link lies between a writable folder and the path: bubblewrap would follow it to wherever the agent points it. */
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

/** The folders on PATH, the installations that they belong to, and the targets of their links. */
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

/** The folders beside `bin` that its programs need, such as `lib`; not the whole parent, which may be a project. */
function prefixOf(folder: string): string[] {
  const prefix = dirname(folder);
  if (basename(folder) !== 'bin' || prefix === homedir() || prefix === join(homedir(), '.local')) return [];
  return PREFIX.map((name) => join(prefix, name)).filter((path) => existsSync(path));
}

/** The files and folders that a shell command names, and the interpreters of its scripts. */
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

/** Programs outside the folders that are shown anyway: PATH may name the home folder itself. */
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

/** A program's folder, since scripts use files beside them; the file alone when that folder must stay hidden. */
function shown(path: string, hidden: (path: string) => boolean): string[] {
  if (!existsSync(path)) return [];
  if (isFolder(path)) return hidden(path) ? [] : [path];
  return [path, real(path)].flatMap((file) => (hidden(dirname(file)) ? [file] : [dirname(file)]));
}

/** The paths that are not inside another one. */
function outermost(paths: readonly string[]): string[] {
  const all = [...new Set(paths)].filter((path) => !isSystem(path));
  return all
    .filter((path) => !all.some((other) => other !== path && isInside(path, other)))
    .toSorted((a, b) => a.length - b.length);
}

const isFile = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isFile() ?? false;
const isFolder = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
