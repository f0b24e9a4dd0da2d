/** Finds an interpreter's torch version without importing torch, which takes seconds. */
import { outputOf } from '../process/run-program';

const CODE = 'from importlib.metadata import version; print(version("torch"))';

/** @throws Error if the interpreter does not run or has no torch */
export async function torchVersion(python: string): Promise<string> {
  return (await outputOf(python, ['-IB', '-c', CODE], { timeoutMs: 30_000 })).trim();
}
