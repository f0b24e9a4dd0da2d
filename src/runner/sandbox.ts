/**
 * The sandbox for candidates and the scorer. bubblewrap gives them no capability, no new namespace or mount, no network, no host files
 * but the runtime and the tree, no data for the trainer, only the assigned GPU, a cleared environment, scratch that is
 * deleted afterwards. It stops cheating and accidents, but no attacker with a kernel exploit. Without it (`none`) only
 * the environment is cleared and descendants are ended, and every status says so.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, lstatSync, readlinkSync, realpathSync } from 'node:fs';
import { availableParallelism, homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { z } from 'zod';
import type { Sandbox } from '../domain/experiment';
import { errorCode } from '../process/error-code';
import { outputOf } from '../process/run-program';
import { FILTER_DESCRIPTOR, sendFilter } from '../process/supervise';
import { seccompFilter } from '../process/seccomp';
import { gpuFiles, gpuIndex, gpuMemoryFiles, isGpu } from './gpu-file';
import { kernelSettings } from './kernel-settings';
import { howToSandbox } from './why-no-sandbox';

/** What a process in the sandbox gets. Paths are the host's; `place` is where a folder appears inside. */
export interface Room {
  python: string;
  /** `python` as the first word is the interpreter; relative files are the tree's. */
  command: string[];
  device: string;
  /** Read-only, and where the process begins. */
  tree: string;
  scratchBytes: number;
  /** The folder for scratch without a sandbox. */
  scratch: string;
  folders: { host: string; place: string; writable: boolean }[];
  /** Paths in the environment and in the command are those inside. */
  env: Record<string, string>;
}

/** How to start it: argv, environment, folder. */
export interface Enclosed {
  argv: string[];
  env: Record<string, string>;
  cwd: string;
  /** The seccomp program that argv reads from FILTER_DESCRIPTOR. */
  filter: Buffer | null;
  /** The host's device files that it may use but not change. */
  devices: string[];
}

export interface SandboxFound {
  sandbox: Sandbox;
  /** Why, in words for `doctor`. */
  detail: string;
  /** What to do for one; null where there is one. */
  todo: string | null;
}

/** bubblewrap's messages when the host is short of a resource: then the trial proves nothing. */
const SHORTAGE = /Resource temporarily unavailable|Cannot allocate memory|Too many open files/;
/** A probe takes a second; this leaves room for a machine that sleeps or stalls. */
const PROBE_MS = 10 * 60_000;
const INSTALL =
  'install bubblewrap (Debian, Ubuntu: apt-get install bubblewrap; Fedora: dnf install bubblewrap)';
/** The host's device files that bubblewrap shows. */
export const SHARED_DEVICES = ['null', 'zero', 'full', 'random', 'urandom', 'tty'].map(
  (name) => `/dev/${name}`,
);
/** Parts of /sys that show the whole host. Only root can read them, but root needs no capability for it. */
const SYS_FOLDERS_OF_ROOT = [
  'kernel/debug',
  'kernel/tracing',
  'kernel/security',
  'firmware',
  'fs/bpf',
  'fs/pstore',
].map((name) => `/sys/${name}`);
/**
 * Fails unless the walls stand that a kernel or a container may lack. Of root without user namespaces bubblewrap leaves
 * the bounding set: with no new privileges it gives nothing back.
 */
const LOOK_AT_WALLS = `
while read -r key value; do
  case $key in
    CapBnd:) ;;
    Cap*) case $value in *[!0]*) echo "a process inside has capabilities ($key $value)" >&2; exit 1 ;; esac ;;
    NoNewPrivs:) [ "$value" = 1 ] || { echo 'a process inside can gain rights' >&2; exit 1; } ;;
    Seccomp:) filter=$value ;;
  esac
done < /proc/self/status
[ "$filter" = 2 ] || { echo 'no seccomp filter is in force inside' >&2; exit 1; }`;
const TREE = '/lab';
const SCRATCH = '/tmp';
/** Shared memory of data loaders; it is memory of the host. */
const SHARED_MEMORY_BYTES = 1 << 30;
export const SYSTEM_FOLDERS = ['/bin', '/sbin', '/lib', '/lib32', '/lib64', '/libx32'];
/** What the dynamic linker and the C library read; no names, keys or settings of the host's users. */
const SYSTEM_FILES = [
  '/etc/ld.so.cache',
  '/etc/ld.so.conf',
  '/etc/ld.so.conf.d',
  '/etc/alternatives',
  '/etc/localtime',
];
/**
 * The first process inside. It starts the command, by exec, only after a message: supervisor.py says why. It is PID 1 of its
 * namespace, so all others die with it, and only the host can end it by SIGKILL: the kernel ignores that signal from inside.
 */
const GATE = ['/bin/sh', '-c', 'echo ready >&4; read -r go <&4 || exit 125; exec 4>&-; exec "$@"', 'sh'];

/**
 * Finds out by a trial which sandbox works here. AUTORESEARCH_SANDBOX=none skips it.
 * @throws Error for another value of AUTORESEARCH_SANDBOX, and if the trial did not finish: a host that is short of processes for
 * a moment must not count as one without a sandbox
 */
export async function findSandbox(): Promise<SandboxFound> {
  const wish = process.env['AUTORESEARCH_SANDBOX'] ?? '';
  if (wish === 'none') {
    return { sandbox: 'none', detail: 'AUTORESEARCH_SANDBOX=none', todo: 'unset AUTORESEARCH_SANDBOX' };
  }
  if (wish !== '' && wish !== 'bubblewrap') {
    throw new Error(`AUTORESEARCH_SANDBOX is "${wish}", expected "bubblewrap" or "none"`);
  }
  if (process.platform !== 'linux') {
    return { sandbox: 'none', detail: 'bubblewrap needs Linux', todo: 'run studies on Linux' };
  }
  const filter = seccompFilter();
  if (filter === null) {
    return {
      sandbox: 'none',
      detail: `no seccomp filter for ${process.arch}`,
      todo: 'run studies on x86-64 or aarch64',
    };
  }
  const { code, signal, stderr } = await tryWalls(filter);
  if (code === 0) {
    return {
      sandbox: 'bubblewrap',
      detail: 'bubblewrap works: no capabilities, a seccomp filter against new namespaces and mounts',
      todo: null,
    };
  }
  const said = stderr.trim() || `it ended with ${signal ?? code}`;
  if (code === 'ENOENT') return { sandbox: 'none', detail: 'bwrap is not installed', todo: INSTALL };
  if (code === 'EACCES' || (typeof code === 'number' && !SHORTAGE.test(said)))
    return { sandbox: 'none', detail: `bwrap does not run: ${said}`, todo: howToSandbox(said) };
  throw new Error(`cannot find out whether bubblewrap works: ${said}; try again`);
}

interface Trial {
  /** The errno if it could not start; null if it was killed. */
  code: string | number | null;
  signal: string | null;
  stderr: string;
}

/** Starts a sandbox whose only program checks the sandbox. */
async function tryWalls(filter: Buffer): Promise<Trial> {
  const child = spawn('bwrap', [...walls(1 << 20), '/bin/sh', '-c', LOOK_AT_WALLS], {
    signal: AbortSignal.timeout(PROBE_MS),
    env: { ...process.env, LC_ALL: 'C' },
    stdio: ['ignore', 'ignore', 'pipe', 'ignore', 'ignore', 'ignore', 'pipe'],
  });
  try {
    await once(child, 'spawn');
  } catch (error) {
    return { code: errorCode(error) ?? null, signal: null, stderr: '' };
  }
  sendFilter(child, filter);
  const [ended, stderr] = await Promise.all([
    once(child, 'exit'),
    child.stderr === null ? '' : text(child.stderr),
  ]);
  const [code, signal] = exitSchema.parse(ended);
  return { code, signal, stderr };
}

const exitSchema = z.tuple([z.int().nullable(), z.string().nullable()]);

/** The smallest sandbox, through its gate. */
export function smallest(command: string[]): Pick<Enclosed, 'argv' | 'filter' | 'devices'> {
  const argv = ['bwrap', ...walls(1 << 20), '--as-pid-1', '--', ...GATE, ...command];
  return { argv, filter: seccompFilter(), devices: SHARED_DEVICES };
}

/** Turns a room into a command line. */
export async function enclose(sandbox: Sandbox, room: Room): Promise<Enclosed> {
  const [program, ...rest] = room.command;
  const command = program === 'python' ? [room.python, ...rest] : room.command;
  if (sandbox === 'none') {
    return {
      argv: command.map((word) => outside(room, word)),
      env: environment(room, room.scratch, 'none'),
      cwd: room.tree,
      filter: null,
      devices: [],
    };
  }
  const ownGpu = isGpu(room.device) ? gpuFiles(room.device) : [];
  const env = environment(room, SCRATCH, 'bubblewrap');
  const argv = [
    'bwrap',
    ...walls(room.scratchBytes),
    ...(await pythonFolders(room.python)).flatMap((folder) => ['--ro-bind', folder, folder]),
    ...(isGpu(room.device) ? gpu(ownGpu, env['LD_LIBRARY_PATH'] ?? '') : []),
    '--ro-bind',
    room.tree,
    TREE,
    ...room.folders.flatMap(({ host, place, writable }) => [writable ? '--bind' : '--ro-bind', host, place]),
    '--remount-ro',
    '/dev',
    '--remount-ro',
    '/',
    '--clearenv',
    ...Object.entries(env).flatMap(([name, value]) => ['--setenv', name, value]),
    '--chdir',
    TREE,
    '--as-pid-1',
    '--',
    ...GATE,
    ...command,
  ];
  return {
    argv,
    env: { PATH: process.env['PATH'] ?? '/usr/bin:/bin' },
    cwd: '/',
    filter: seccompFilter(),
    devices: [...SHARED_DEVICES, ...ownGpu],
  };
}

/** The common part of all sandboxes: namespaces, the system's libraries and an empty scratch. */
function walls(scratchBytes: number): string[] {
  return [
    '--unshare-all',
    // As root, bubblewrap leaves all capabilities otherwise, and with them read-only mounts can be made writable.
    '--cap-drop',
    'ALL',
    '--seccomp',
    String(FILTER_DESCRIPTOR),
    '--die-with-parent',
    '--new-session',
    ...systemView(SYSTEM_FILES),
    '--proc',
    '/proc',
    ...kernelSettings().flatMap((path) => ['--ro-bind-try', path, path]),
    '--dev',
    '/dev',
    '--size',
    String(SHARED_MEMORY_BYTES),
    '--tmpfs',
    '/dev/shm',
    '--size',
    String(scratchBytes),
    '--tmpfs',
    SCRATCH,
  ];
}

/** The system's programs and libraries, and these files of it, read-only. */
export function systemView(files: readonly string[]): string[] {
  return [
    '--ro-bind',
    '/usr',
    '/usr',
    ...SYSTEM_FOLDERS.filter((folder) => existsSync(folder)).flatMap(systemFolder),
    ...files.flatMap((file) => ['--ro-bind-try', file, file]),
  ];
}

/** Most systems have made /bin, /lib, … links into /usr. */
function systemFolder(folder: string): string[] {
  return lstatSync(folder).isSymbolicLink()
    ? ['--symlink', readlinkSync(folder), folder]
    : ['--ro-bind', folder, folder];
}

const pythonPathsSchema = z.array(z.string().startsWith('/'));

/**
 * Where an interpreter's own files lie: its environment, the installation that the environment was made from,
 * and what else is on its path. Never a home folder as a whole.
 */
async function pythonFolders(python: string): Promise<string[]> {
  const ask =
    'import json, os, sys; print(json.dumps([p for p in [sys.prefix, sys.base_prefix, sys.exec_prefix, *sys.path] if os.path.isdir(p)]))';
  const stdout = await outputOf(python, ['-IB', '-c', ask], { timeoutMs: PROBE_MS });
  const said = pythonPathsSchema.parse(JSON.parse(stdout));
  // An interpreter is often a chain of links.
  const links = [dirname(dirname(python)), dirname(dirname(realpathSync(python)))];
  const folders = [...said, ...links].flatMap((folder) => [folder, realpathSync(folder)]);
  const forbidden = new Set(['/', '/home', '/root', '/opt', '/var', '/mnt', homedir()]);
  const shown = new Set(
    folders.filter((folder) => folder !== '/usr' && !folder.startsWith('/usr/') && !forbidden.has(folder)),
  );
  // A folder's subfolders are shown with it.
  return [...shown].filter(
    (folder) => ![...shown].some((other) => folder !== other && folder.startsWith(`${other}/`)),
  );
}

/** The assigned GPU's device files and what the driver needs beside them. */
function gpu(files: string[], libraryPath: string): string[] {
  const libraries = libraryPath
    .split(':')
    .filter((folder) => folder.startsWith('/') && !folder.startsWith('/usr/'));
  return [
    ...files.flatMap((file) => ['--dev-bind', file, file]),
    '--ro-bind',
    '/sys',
    '/sys',
    ...SYS_FOLDERS_OF_ROOT.filter((folder) => existsSync(folder)).flatMap((folder) => [
      '--tmpfs',
      folder,
      '--remount-ro',
      folder,
    ]),
    ...gpuMemoryFiles().flatMap((file) => ['--ro-bind', '/dev/null', file]),
    ...libraries.flatMap((folder) => ['--ro-bind-try', folder, folder]),
  ];
}

/** PATH inside. */
export const pathInside = (python: string): string => `${dirname(python)}:/usr/local/bin:/usr/bin:/bin`;

/** The device's name inside, where a process sees only its own GPU. */
export const deviceInside = (device: string): string => (isGpu(device) ? 'cuda:0' : device);

function environment(room: Room, scratch: string, sandbox: Sandbox): Record<string, string> {
  const cuda = isGpu(room.device);
  const libraryPath = process.env['LD_LIBRARY_PATH'];
  const env: Record<string, string> = {
    PATH: pathInside(room.python),
    LANG: 'C.UTF-8',
    USER: 'candidate',
    HOME: scratch,
    TMPDIR: scratch,
    PYTHONDONTWRITEBYTECODE: '1',
    PYTHONUNBUFFERED: '1',
    TORCHINDUCTOR_CACHE_DIR: join(scratch, 'inductor'),
    TRITON_CACHE_DIR: join(scratch, 'triton'),
    OMP_NUM_THREADS: String(cuda ? Math.min(8, availableParallelism()) : availableParallelism()),
    AUTORESEARCH_DEVICE: deviceInside(room.device),
  };
  if (cuda) {
    env['CUDA_DEVICE_ORDER'] = 'PCI_BUS_ID';
    // The sandbox shows a single GPU.
    env['CUDA_VISIBLE_DEVICES'] = sandbox === 'none' ? String(gpuIndex(room.device)) : '0';
    if (libraryPath !== undefined) env['LD_LIBRARY_PATH'] = libraryPath;
  } else {
    // Some virtual CPUs claim AMX and die of SIGILL in a bfloat16 product.
    env['ONEDNN_MAX_CPU_ISA'] = 'AVX512_CORE';
  }
  for (const [name, value] of Object.entries(room.env))
    env[name] = sandbox === 'none' ? outside(room, value) : value;
  return env;
}

/** A path inside as the same path on the host. */
function outside(room: Room, word: string): string {
  const folder = room.folders.find(({ place }) => word === place || word.startsWith(`${place}/`));
  return folder === undefined ? word : folder.host + word.slice(folder.place.length);
}
