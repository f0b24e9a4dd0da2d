/** Finds the Python 3 that runs lock-and-exec.py and supervisor.py, once per process. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';

/** A process could not be started. The message says why. */
export class LaunchError extends Error {
  override name = 'LaunchError';
}

let python: Promise<string> | undefined;

/** The interpreter behind `python3`: a shim (pyenv, asdf) would add its own folders to the command's PATH. */
export function python3(): Promise<string> {
  python ??= findPython().catch((error: unknown) => {
    python = undefined;
    throw error;
  });
  return python;
}

async function findPython(): Promise<string> {
  const child = spawn('python3', ['-I', '-S', '-c', 'import sys; print(sys.executable)'], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  try {
    const [path] = await Promise.all([text(child.stdout), once(child, 'spawn')]);
    if (path.trim() !== '') return path.trim();
  } catch (error) {
    throw new LaunchError('no python3 on PATH: install Python 3.11 or newer', { cause: error });
  }
  throw new LaunchError('python3 on PATH does not run: install Python 3.11 or newer');
}
