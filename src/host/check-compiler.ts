/**
 * On a GPU, `torch.compile` builds a small C module when it first runs (Triton's driver.c), so a run needs a C compiler and Python's
 * headers: those that it finds inside the sandbox.
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
const LOOK_MS = 20_000;
/** As Triton looks for them: it passes over Debian's own scheme. */
const HEADERS = `
import sysconfig
scheme = sysconfig.get_default_scheme()
print(sysconfig.get_paths("posix_prefix" if scheme == "posix_local" else scheme)["include"])`;

export async function checkCompiler(): Promise<Check> {
  const python = trainerPython();
  if (!(await detectDevices()).some(({ id }) => isGpu(id))) return fine(NAME, 'not needed: no GPU');
  if (python === null)
    return warn(NAME, 'not looked for yet', '`npx autoresearch up` first: it makes the trainer');
  return compilerFor(python, pathInside(python));
}

/** @param path where a run looks for programs */
export async function compilerFor(python: string, path: string): Promise<Check> {
  const compiler = (await compilerOn(path, 'gcc')) ?? (await compilerOn(path, 'clang'));
  const { ok, stdout, reason } = await run(python, ['-I', '-c', HEADERS], { timeoutMs: LOOK_MS });
  if (!ok) throw new Error(`${python} does not tell where its headers are: ${reason}`);
  const header = join(stdout.trim(), 'Python.h');
  const isThere = existsSync(header);
  if (compiler !== null && isThere) return fine(NAME, `${compiler}, ${header}`);
  const lacks = [
    ...(compiler === null ? ['neither gcc nor clang is there'] : []),
    ...(isThere ? [] : [`${header} is not`]),
  ];
  return warn(
    NAME,
    `${lacks.join(', and ')}: the default lab cannot train on a GPU`,
    'install both (Debian, Ubuntu: apt-get install g++ python3-dev; Fedora: dnf install gcc-c++ python3-devel)',
  );
}

async function compilerOn(path: string, name: string): Promise<string | null> {
  const { ok } = await run('/bin/sh', ['-c', `command -v ${name}`], {
    timeoutMs: LOOK_MS,
    env: { PATH: path },
  });
  return ok ? name : null;
}
