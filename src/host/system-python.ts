/** Finds an interpreter on PATH that the trainer's packages have wheels for. */
import { run } from '../process/run-program';
import { MissingPrerequisite } from '../process/missing-prerequisite';

/** Torch and the other locked packages have wheels for these versions. */
const OLDEST = [3, 11] as const;
const NEWEST = [3, 14] as const;
const NAMES = ['python3', 'python3.14', 'python3.13', 'python3.12', 'python3.11'];

export interface Python {
  path: string;
  /** `3.11.7` */
  version: string;
}

/** Path and version of an interpreter; null if it does not run. */
export async function pythonAt(command: string): Promise<Python | null> {
  const code = 'import sys; print(sys.executable, "%d.%d.%d" % sys.version_info[:3], sep="\\n")';
  const { ok, stdout } = await run(command, ['-I', '-c', code], { timeoutMs: 20_000 });
  const [path, version] = stdout.trim().split('\n');
  return ok && path !== undefined && version !== undefined ? { path, version } : null;
}

/** True for 3.11 to 3.14. */
export function isSupported(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major === OLDEST[0] && minor >= OLDEST[1] && minor <= NEWEST[1];
}

/** @throws MissingPrerequisite if PATH has no suitable one */
export async function systemPython(): Promise<Python> {
  const found: string[] = [];
  for (const name of NAMES) {
    const python = await pythonAt(name);
    if (python === null) continue;
    if (isSupported(python.version)) return python;
    found.push(`${name} is ${python.version}`);
  }
  throw new MissingPrerequisite(
    `no suitable Python on PATH (${found.length === 0 ? 'none was found' : found.join(', ')}): ` +
      `expected ${OLDEST.join('.')} to ${NEWEST.join('.')}`,
    'install one (Debian, Ubuntu: apt-get install python3 python3-venv; macOS: brew install python@3.12), ' +
      'or set AUTORESEARCH_PYTHON to an interpreter that has torch',
  );
}
