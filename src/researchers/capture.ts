/** Runs a researcher's process to its end and keeps what it said; nothing that it started outlives it. */
import { spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';

export interface CaptureOptions {
  stdin: string;
  timeoutMs: number;
  signal: AbortSignal;
  cwd?: string;
  env?: NodeJS.ProcessEnv;
}

export interface Captured {
  stdout: string;
  stderr: string;
}

/** The process failed, took too long or was ended; `stderr` holds the end of what it said. */
export class CaptureError extends Error {
  override name = 'CaptureError';
  constructor(
    message: string,
    readonly captured: Captured,
  ) {
    super(message);
  }
}

/** A coding agent's transcript may be long; more than this is cut at the front. */
const MAX_OUTPUT = 8 << 20;
const GRACE_MS = 2_000;
/** For the last of what it said: a daemon that it left behind may keep its output open for ever. */
const DRAIN_MS = 1_000;

/** @throws CaptureError unless the process exits with 0 in time */
export async function capture(command: readonly string[], options: CaptureOptions): Promise<Captured> {
  const [program, ...args] = command;
  if (program === undefined) throw new RangeError('an empty command');
  const { cwd, env, stdin, timeoutMs, signal } = options;
  // Its own process group, so that what it started can be ended with it.
  const child = spawn(program, args, { cwd, env, detached: true, stdio: 'pipe' });
  let stdout = '';
  let stderr = '';
  child.stdout
    .setEncoding('utf8')
    .on('data', (text: string) => (stdout = (stdout + text).slice(-MAX_OUTPUT)));
  child.stderr
    .setEncoding('utf8')
    .on('data', (text: string) => (stderr = (stderr + text).slice(-MAX_OUTPUT)));
  child.stdin.on('error', () => undefined); // it may not care to read
  child.stdin.end(stdin);

  const closed = new Promise((resolve) => child.once('close', resolve));
  const ended: string[] = [];
  const end = (why: string) => {
    ended.push(why);
    void endGroup(child.pid);
  };
  const timer = setTimeout(() => end(`took more than ${timeoutMs / 1000} s`), timeoutMs);
  const onAbort = () => end('was ended');
  signal.addEventListener('abort', onAbort, { once: true });
  if (signal.aborted) onAbort();
  try {
    const how = await new Promise<string>((resolve, reject) => {
      child.once('error', reject);
      child.once('exit', (code, bySignal) =>
        resolve(bySignal === null ? `exit code ${code}` : `signal ${bySignal}`),
      );
    });
    await Promise.race([closed, sleep(DRAIN_MS, undefined, { ref: false })]);
    child.stdout.destroy();
    child.stderr.destroy();
    if (ended[0] !== undefined) throw new CaptureError(`${program} ${ended[0]}`, { stdout, stderr });
    if (how !== 'exit code 0') {
      throw new CaptureError(`${program} ended with ${how}: ${lastLine(stderr)}`, { stdout, stderr });
    }
    return { stdout, stderr };
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', onAbort);
    await endGroup(child.pid);
  }
}

async function endGroup(pid: number | undefined): Promise<void> {
  if (pid === undefined) return;
  if (!signalGroup(pid, 'SIGTERM')) return;
  const deadline = Date.now() + GRACE_MS;
  while (Date.now() < deadline) {
    await sleep(50);
    if (!signalGroup(pid, 0)) return;
  }
  signalGroup(pid, 'SIGKILL');
}

/** False when nothing of the group is left. */
function signalGroup(pid: number, name: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(-pid, name);
  } catch {
    return false;
  }
}

function lastLine(text: string): string {
  return text.trim().split('\n').at(-1)?.slice(0, 300) ?? '';
}
