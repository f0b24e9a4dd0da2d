/** Finds the Python 3 that runs lock-and-exec.py and supervisor.py, once per process. */
import { run } from './run-program';

/** A process could not be started. The message says why. */
export class LaunchError extends Error {
  override name = 'LaunchError';
}

const CODE = 'import sys; print(sys.executable)';
const ANSWER_MS = 60_000;

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
  const { stdout, reason } = await run('python3', ['-I', '-S', '-c', CODE], { timeoutMs: ANSWER_MS });
  if (stdout.trim() !== '') return stdout.trim();
  throw new LaunchError(`python3 does not run (${reason}): install Python 3.11 or newer as python3`);
}
