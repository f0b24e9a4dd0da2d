/**
 * Makes the trainer's Python environment from trainer/requirements.lock with uv, once. Its name has that file's hash, so a new lock file
 * gets a new environment, and running studies still have the old one (see choose-trainer.ts). With AUTORESEARCH_PYTHON it checks that
 * interpreter instead.
 */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, rm, statfs, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { asset } from '../process/package-root';
import { cacheRoot } from '../process/paths';
import { ensureInventory, forgetInventory, takeInventory } from '../runner/inventory';
import { run } from '../process/run-program';
import { exclusively } from '../process/exclusive';
import { MissingPrerequisite } from '../process/missing-prerequisite';
import { packageIndex } from './package-index';
import { step, type Say } from '../process/progress';
import { isSupported, pythonAt, systemPython } from './system-python';
import { ensureUv } from './uv';

/** Every run needs these; only climbmix needs pyarrow. */
const REQUIRED_MODULES = ['torch', 'numpy', 'tokenizers', 'safetensors', 'optuna'];
/** Download and unpacked files together. On Linux torch includes CUDA. */
const DISK_BYTES = (process.platform === 'linux' ? 9 : 3) * 2 ** 30;
const INSTALL_MS = 3_600_000;

const lockFile = (name: string): string => asset('trainer', name);
/** Written last: an environment without it is incomplete. */
const marker = (folder: string): string => join(folder, '.complete');
const interpreter = (folder: string): string => join(folder, 'bin', 'python');
const isComplete = (folder: string): boolean => existsSync(marker(folder)) && existsSync(interpreter(folder));

function environment(prefix: string, ...ingredients: string[]): string {
  const hash = createHash('sha256').update(ingredients.join('\0')).digest('hex').slice(0, 12);
  return join(cacheRoot(), 'python', `${prefix}${hash}`);
}

const trainerEnvironment = (): string => environment('', readFileSync(lockFile('requirements.lock'), 'utf8'));

/** The trainer's interpreter; null if its environment has not been made. */
export function trainerPython(): string | null {
  const named = namedPython();
  if (named !== null) return named;
  const folder = trainerEnvironment();
  return isComplete(folder) ? interpreter(folder) : null;
}

function namedPython(): string | null {
  const named = process.env['AUTORESEARCH_PYTHON'] ?? '';
  return named === '' ? null : named;
}

/**
 * Makes the trainer's environment unless it is complete, and takes an inventory of it before any candidate runs in it.
 * @returns the interpreter's path
 * @throws MissingPrerequisite if that fails, or AUTORESEARCH_PYTHON is not suitable
 */
export async function ensureTrainerPython(say: Say): Promise<string> {
  const named = namedPython();
  const python = named === null ? await ensureOwn(say) : await checkNamed(named);
  const take = (of: string): Promise<void> =>
    step(say, `inventory of ${of} and its packages, compared before each scoring`, () => takeInventory(of));
  await ensureInventory(python, take);
  return python;
}

async function ensureOwn(say: Say): Promise<string> {
  const folder = trainerEnvironment();
  await ensureEnvironment(folder, say, async () => {
    await checkDisk();
    const base = await systemPython();
    await step(say, `trainer environment: torch and the rest, into ${folder}`, async () => {
      await uv(say, ['venv', '--no-python-downloads', '--python', base.path, folder]);
      await install(say, folder, lockFile('requirements.lock'));
      await forgetInventory(interpreter(folder));
    });
  });
  return interpreter(folder);
}

/**
 * Makes the environment of the tests: pytest and ruff, and the trainer's packages through a .pth file, so that the trainer's own
 * environment is the same as users have.
 * @returns the interpreter's path
 */
export async function ensureDevelopmentPython(say: Say): Promise<string> {
  const trainer = await ensureTrainerPython(say);
  const folder = environment('dev-', trainer, readFileSync(lockFile('requirements-dev.lock'), 'utf8'));
  await ensureEnvironment(folder, say, async () => {
    await step(say, `development tools: pytest and ruff, into ${folder}`, async () => {
      await uv(say, ['venv', '--no-python-downloads', '--python', trainer, folder]);
      await install(say, folder, lockFile('requirements-dev.lock'));
      await writeFile(
        join(await sitePackages(interpreter(folder)), 'trainer.pth'),
        `${await sitePackages(trainer)}\n`,
      );
    });
  });
  return interpreter(folder);
}

async function ensureEnvironment(folder: string, say: Say, make: () => Promise<void>): Promise<void> {
  if (isComplete(folder)) return;
  await exclusively(
    `${folder}.lock`,
    () => say('another process is making this environment: waiting for it'),
    async () => {
      if (isComplete(folder)) return;
      await rm(folder, { recursive: true, force: true });
      await mkdir(dirname(folder), { recursive: true });
      await make();
      await writeFile(marker(folder), `${new Date().toISOString()}\n`);
    },
  );
}

async function sitePackages(python: string): Promise<string> {
  const code = 'import sysconfig; print(sysconfig.get_paths()["purelib"])';
  const { ok, stdout, reason } = await run(python, ['-B', '-c', code], { timeoutMs: 30_000 });
  if (!ok) throw new Error(`cannot find the site-packages of ${python}: ${reason}`);
  return stdout.trim();
}

/** Compiles bytecode once: the sandbox cannot write it, so every run would compile torch's Python again. */
const install = (say: Say, folder: string, lock: string): Promise<void> =>
  uv(say, ['pip', 'sync', '--require-hashes', '--compile-bytecode', '--python', interpreter(folder), lock]);

async function uv(say: Say, args: string[]): Promise<void> {
  const { path } = await ensureUv(say);
  const env = { UV_HTTP_TIMEOUT: '120', ...(await packageIndex()), ...process.env };
  const { ok, stderr, reason } = await run(path, ['--quiet', '--no-progress', ...args], {
    env,
    timeoutMs: INSTALL_MS,
  });
  if (ok) return;
  throw failure(`uv ${args[0]} failed (${reason}): ${stderr.trim()}`, stderr);
}

function failure(message: string, stderr: string): MissingPrerequisite {
  if (/no space left|disk quota/iu.test(stderr)) return new MissingPrerequisite(message, diskAdvice());
  if (/dns error|connect|network|timed out|timeout|error sending request/iu.test(stderr)) {
    return new MissingPrerequisite(
      message,
      'cannot reach the package index: check the network (a proxy in HTTPS_PROXY, a mirror in UV_DEFAULT_INDEX) and try again',
    );
  }
  return new MissingPrerequisite(
    message,
    'see the message above; to use your own environment, set AUTORESEARCH_PYTHON to its interpreter',
  );
}

const diskAdvice = (): string =>
  `free some space, or set XDG_CACHE_HOME (now ${dirname(cacheRoot())}) to a folder on a larger disk`;

async function checkDisk(): Promise<void> {
  await mkdir(cacheRoot(), { recursive: true });
  const { bavail, bsize } = await statfs(cacheRoot());
  const free = bavail * bsize;
  if (free >= DISK_BYTES) return;
  throw new MissingPrerequisite(
    `${gigabytes(free)} free in ${cacheRoot()}, but the trainer's environment needs ${gigabytes(DISK_BYTES)}`,
    diskAdvice(),
  );
}

async function checkNamed(python: string): Promise<string> {
  const found = await pythonAt(python);
  const advice =
    'set AUTORESEARCH_PYTHON to an interpreter that has them, or unset it to let `up` make an environment';
  if (found === null) throw new MissingPrerequisite(`AUTORESEARCH_PYTHON=${python} does not run`, advice);
  if (!isSupported(found.version)) {
    throw new MissingPrerequisite(
      `AUTORESEARCH_PYTHON=${python} is Python ${found.version}; expected 3.11 to 3.14`,
      advice,
    );
  }
  const missing = await missingModules(python);
  if (missing.length === 0) return python;
  throw new MissingPrerequisite(`AUTORESEARCH_PYTHON=${python} lacks ${missing.join(', ')}`, advice);
}

/** Checks without importing, which takes seconds for torch. */
async function missingModules(python: string): Promise<string[]> {
  const code = 'import importlib.util as u, sys; print(*[m for m in sys.argv[1:] if u.find_spec(m) is None])';
  const { stdout } = await run(python, ['-B', '-c', code, ...REQUIRED_MODULES], { timeoutMs: 30_000 });
  return stdout
    .trim()
    .split(' ')
    .filter((name) => name !== '');
}

const gigabytes = (bytes: number): string => `${(bytes / 2 ** 30).toFixed(1)} GB`;
