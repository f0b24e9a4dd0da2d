/**
 * Checks for a C compiler and Python's headers inside the sandbox. On a GPU, `torch.compile` builds a small C module at its first run
 * (Triton's driver.c).
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { detectDevices } from './devices';
import { isGpu } from '../runner/gpu-file';
import { pathInside } from '../runner/sandbox';
import { fine, warn, type Check } from './check';
import { run } from '../process/run-program';
import { trainerPython } from './trainer-python';

const NAME = 'compiler for GPUs';
const CHECK_MS = 20_000;
/** As Triton finds them: it skips Debian's own scheme. */
const HEADERS = `
import sysconfig
scheme = sysconfig.get_default_scheme()
print(sysconfig.get_paths("posix_prefix" if scheme == "posix_local" else scheme)["include"])`;

export async function checkCompiler(): Promise<Check> {
  const python = trainerPython();
  if (!(await detectDevices()).some(({ id }) => isGpu(id))) return fine(NAME, 'not needed: no GPU');
  if (python === null)
    return warn(NAME, 'not checked yet', 'run `npx autoresearch up` first: it makes the trainer environment');
  return compilerFor(python, pathInside(python));
}

/** @param path a run's PATH */
export async function compilerFor(python: string, path: string): Promise<Check> {
  const compiler = (await compilerOn(path, 'gcc')) ?? (await compilerOn(path, 'clang'));
  const { ok, stdout, reason } = await run(python, ['-I', '-c', HEADERS], { timeoutMs: CHECK_MS });
  if (!ok) throw new Error(`cannot find the headers of ${python}: ${reason}`);
  const header = join(stdout.trim(), 'Python.h');
  const isThere = existsSync(header);
  if (compiler !== null && isThere) return fine(NAME, `${compiler}, ${header}`);
  const lacks = [
    ...(compiler === null ? ['neither gcc nor clang is installed'] : []),
    ...(isThere ? [] : [`${header} is missing`]),
  ];
  return warn(
    NAME,
    `${lacks.join(', and ')}: the default lab cannot train on a GPU`,
    'install both (Debian, Ubuntu: apt-get install g++ python3-dev; Fedora: dnf install gcc-c++ python3-devel)',
  );
}

async function compilerOn(path: string, name: string): Promise<string | null> {
  const { ok } = await run('/bin/sh', ['-c', `command -v ${name}`], {
    timeoutMs: CHECK_MS,
    env: { PATH: path },
  });
  return ok ? name : null;
}
