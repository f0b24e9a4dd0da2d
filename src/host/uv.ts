/** Finds uv, which makes the trainer's Python environment: the user's own, else a pinned one in the cache. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { asset } from '../process/package-root';
import { toolCache } from '../process/paths';
import { lastLine } from '../process/excerpt';
import { run } from '../process/run-program';
import { MissingPrerequisite } from '../process/missing-prerequisite';
import { step, type Say } from '../process/progress';
import { systemPython } from './system-python';

const VERSION = '0.13.8'; // as in uv-requirements.txt
const OLDEST = [0, 4] as const; // `uv pip sync --require-hashes` with universal locks

interface Uv {
  path: string;
  version: string;
}

const ownFolder = (): string => join(toolCache(), `uv-${VERSION}`);

/** uv on PATH, else our own; null if neither is installed. */
export async function findUv(): Promise<Uv | null> {
  for (const path of ['uv', join(ownFolder(), 'bin', 'uv')]) {
    const { ok, stdout } = await run(path, ['--version'], { timeoutMs: 20_000 });
    const version = /^uv (\d+\.\d+\.\d+)/u.exec(stdout)?.[1];
    if (ok && version !== undefined && isRecent(version)) return { path, version };
  }
  return null;
}

function isRecent(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major > OLDEST[0] || minor >= OLDEST[1];
}

/**
 * Finds uv, or installs the pinned version. Callers hold the lock of the environment that they make.
 * @throws MissingPrerequisite if it is not installed and cannot be
 */
export async function ensureUv(say: Say): Promise<Uv> {
  const found = await findUv();
  if (found !== null) return found;
  await step(say, `uv ${VERSION}, into ${ownFolder()}`, install);
  const installed = await findUv();
  if (installed === null) throw new MissingPrerequisite(`uv in ${ownFolder()} does not run`, ADVICE);
  return installed;
}

const ADVICE = 'install uv (https://docs.astral.sh/uv), or check the network and try again';

async function install(): Promise<void> {
  const folder = ownFolder();
  await rm(folder, { recursive: true, force: true });
  const python = await systemPython();
  const venv = await run(python.path, ['-m', 'venv', folder], { timeoutMs: 120_000 });
  if (!venv.ok) {
    throw new MissingPrerequisite(
      `${python.path} -m venv failed (${venv.reason}): ${lastLine(venv.stderr + venv.stdout)}`,
      'install the venv module (Debian, Ubuntu: apt-get install python3-venv) or uv itself, and try again',
    );
  }
  const requirements = asset('src', 'host', 'uv-requirements.txt');
  const pip = ['-m', 'pip', 'install', '--quiet', '--no-deps', '--require-hashes', '-r', requirements];
  const installed = await run(join(folder, 'bin', 'python'), pip, { timeoutMs: 600_000 });
  if (installed.ok) return;
  await rm(folder, { recursive: true, force: true });
  throw new MissingPrerequisite(
    `pip could not install uv (${installed.reason}): ${lastLine(installed.stderr)}`,
    ADVICE,
  );
}
