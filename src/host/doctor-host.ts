/** `doctor`'s checks of this host: programs, trainer environment, sandbox, devices, disk and memory. */
import { accessSync, constants, existsSync, mkdirSync } from 'node:fs';
import { freemem, totalmem } from 'node:os';
import { dirname } from 'node:path';
import { freeBytes } from '../process/free-space';
import { asset } from '../process/package-root';
import { cacheRoot, runtimeRoot, stateRoot } from '../process/paths';
import { detectDevices } from './devices';
import { isGpu } from '../runner/gpu-file';
import { MAX_SOCKET_PATH_BYTES } from '../runner/model/protocol';
import { findLimits } from '../runner/limits';
import { findSandbox } from '../runner/sandbox';
import { checkCompiler } from './check-compiler';
import { failed, fine, lack, warn, type Check } from './check';
import { lastLine } from '../process/excerpt';
import { run } from '../process/run-program';
import { isSupported, pythonAt, systemPython } from './system-python';
import { trainerPython } from './trainer-python';
import { findUv } from './uv';

const QUICK_MS = 20_000;
/** Importing torch takes seconds, with a cold disk many. */
const IMPORT_MS = 60_000;
const NODE = 20;
/** Below this a study soon waits for disk space: a run needs scratch space, its submission and logs. */
const LOW_DISK_BYTES = 5 * 2 ** 30;
const LOW_MEMORY_BYTES = 3 * 2 ** 30;
/** Longest name that the runner gives a socket. */
const SOCKET_NAME_BYTES = 40;

export async function checkHost(): Promise<Check[]> {
  const checks: Record<string, () => Promise<Check> | Check> = {
    Node: checkNode,
    'npm packages': checkPackages,
    git: checkGit,
    Python: checkPython,
    uv: checkUv,
    'trainer environment': checkTrainer,
    devices: checkDevices,
    'compiler for GPUs': checkCompiler,
    sandbox: checkSandbox,
    'limits of a run': checkLimits,
    memory: checkMemory,
    'disk for state': () => checkDisk('disk for state', stateRoot(), 'XDG_STATE_HOME'),
    'disk for caches': () => checkDisk('disk for caches', cacheRoot(), 'XDG_CACHE_HOME'),
    sockets: checkSockets,
  };
  return Promise.all(
    Object.entries(checks).map(async ([name, check]) => {
      try {
        return await check();
      } catch (error) {
        return failed(name, error);
      }
    }),
  );
}

function checkNode(): Check {
  const { node } = process.versions;
  return Number(node.split('.')[0]) >= NODE
    ? fine('Node', node)
    : lack('Node', node, `install Node ${NODE} or newer: https://nodejs.org`);
}

function checkPackages(): Check {
  return existsSync(asset('node_modules', '@temporalio', 'worker', 'package.json'))
    ? fine('npm packages', asset('node_modules'))
    : lack('npm packages', 'not installed', '`npm run setup`');
}

async function checkGit(): Promise<Check> {
  const { ok, stdout, reason } = await run('git', ['--version'], { timeoutMs: QUICK_MS });
  const todo = 'install git 2.38 or newer (Debian, Ubuntu: apt-get install git)';
  if (!ok) return lack('git', reason, todo);
  const version = stdout.trim().replace('git version ', '');
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major > 2 || (major === 2 && minor >= 38) ? fine('git', version) : lack('git', version, todo);
}

async function checkPython(): Promise<Check> {
  // `python3` starts the detached processes; the trainer's environment may use another interpreter.
  const plain = await pythonAt('python3');
  const todo =
    'install Python 3.11 or newer as python3 (Debian, Ubuntu: apt-get install python3 python3-venv)';
  if (plain === null) return lack('Python', 'python3 is not on PATH or does not run', todo);
  if (isSupported(plain.version)) return fine('Python', `${plain.version}, ${plain.path}`);
  const named = trainerPython() ?? (await systemPython()).path;
  return warn('Python', `python3 is ${plain.version}; the trainer uses ${named}`, todo);
}

async function checkUv(): Promise<Check> {
  const uv = await findUv();
  return uv === null
    ? warn('uv', 'not installed', '`npx autoresearch up` installs it into the cache when it is needed')
    : fine('uv', `${uv.version}, ${uv.path}`);
}

async function checkTrainer(): Promise<Check> {
  const name = 'trainer environment';
  const python = trainerPython();
  if (python === null)
    return warn(name, 'not made yet', '`npx autoresearch up` makes it (some minutes, once)');
  const code = 'import torch; print(torch.__version__, "CUDA" if torch.cuda.is_available() else "CPU only")';
  const { ok, stdout, stderr, reason } = await run(python, ['-B', '-c', code], { timeoutMs: IMPORT_MS });
  if (ok) return fine(name, `torch ${stdout.trim()}, ${python}`);
  return lack(
    name,
    `${python} cannot import torch (${reason}): ${lastLine(stderr)}`,
    (process.env['AUTORESEARCH_PYTHON'] ?? '') === ''
      ? `remove ${dirname(dirname(python))}, then \`npx autoresearch up\``
      : 'set AUTORESEARCH_PYTHON to an interpreter that has torch, or unset it',
  );
}

async function checkDevices(): Promise<Check> {
  const devices = await detectDevices();
  const found = devices.map(({ id, name }) => `${id}: ${name}`).join('; ');
  return devices.some(({ id }) => isGpu(id))
    ? fine('devices', found)
    : warn(
        'devices',
        `${found}; no NVIDIA GPU (nvidia-smi)`,
        'small studies run on the CPU; for more, install the NVIDIA driver',
      );
}

async function checkSandbox(): Promise<Check> {
  const { detail, todo } = await findSandbox();
  return todo === null
    ? fine('sandbox', detail)
    : warn('sandbox', `NONE: candidates can use this host's files and network (${detail})`, todo);
}

async function checkLimits(): Promise<Check> {
  const { tasks, memory, detail } = await findLimits();
  const watched = 'only the runner watches it';
  const why = detail === '' ? '' : ` (${detail})`;
  const found = `processes: ${tasks ?? watched}; memory: ${memory ?? watched}${why}`;
  return tasks !== null
    ? fine('limits of a run', found)
    : warn(
        'limits of a run',
        found,
        'a fork bomb may starve this host: run as a plain user on Linux 5.14 or newer, as root on 6.14 or newer, or with ' +
          'a writable cgroup v2',
      );
}

function checkMemory(): Check {
  const found = `${gigabytes(freemem())} free of ${gigabytes(totalmem())}`;
  return freemem() >= LOW_MEMORY_BYTES
    ? fine('memory', found)
    : warn('memory', found, 'a run of the default lab takes 2 to 3 GB: close other programs');
}

async function checkDisk(name: string, folder: string, variable: string): Promise<Check> {
  const free = await freeBytes(folder);
  const found = `${gigabytes(free)} free in ${folder}`;
  return free >= LOW_DISK_BYTES
    ? fine(name, found)
    : warn(name, found, `free some space, or set ${variable} to a folder on a larger disk`);
}

function checkSockets(): Check {
  const folder = runtimeRoot();
  const room = MAX_SOCKET_PATH_BYTES - Buffer.byteLength(folder) - 1;
  if (room < SOCKET_NAME_BYTES) {
    const found = `${folder} leaves ${room} bytes for a socket's name`;
    return lack('sockets', found, 'set XDG_RUNTIME_DIR to a shorter folder');
  }
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    accessSync(folder, constants.W_OK | constants.X_OK);
    return fine('sockets', folder);
  } catch (error) {
    const found = `cannot create a socket in ${folder}: ${String(error)}`;
    return lack('sockets', found, 'set XDG_RUNTIME_DIR to a short folder that this user owns');
  }
}

const gigabytes = (bytes: number): string => `${(bytes / 2 ** 30).toFixed(1)} GB`;
