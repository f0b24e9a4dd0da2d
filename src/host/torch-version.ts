/** Which torch an interpreter has, without importing it: that alone takes seconds. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const CODE = 'from importlib.metadata import version; print(version("torch"))';

/** @throws Error if the interpreter does not run, or has no torch */
export async function torchVersion(python: string): Promise<string> {
  const { stdout } = await promisify(execFile)(python, ['-IB', '-c', CODE], { timeout: 30_000 });
  return stdout.trim();
}
