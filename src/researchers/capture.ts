/** Runs a researcher's process to its end and collects its output; every process that it started ends with it. */
import type { Readable } from 'node:stream';
import { lastLine } from '../process/excerpt';
import { supervise } from '../process/supervise';

export interface CaptureOptions {
  stdin: string;
  timeoutMs: number;
  signal: AbortSignal;
  cwd?: string;
  env?: NodeJS.ProcessEnv;
  /** Device files that it may use but not change. */
  devices?: readonly string[];
}

export interface Captured {
  stdout: string;
  stderr: string;
}

/** The process failed, took too long or was aborted. */
export class CaptureError extends Error {
  override name = 'CaptureError';
  constructor(
    message: string,
    readonly captured: Captured,
    /** Its exit code; null when a signal ended it. */
    readonly code: number | null = null,
  ) {
    super(message);
  }
}

/** Characters; of longer output the beginning is dropped. */
const MAX_OUTPUT = 8 << 20;
const GRACE_MS = 2_000;

/**
 * Runs a command to its end. If this process dies, the command and its children end too.
 * @throws CaptureError unless the command exits with 0 in time
 */
export async function capture(command: readonly string[], options: CaptureOptions): Promise<Captured> {
  const { cwd, env, stdin, timeoutMs, signal, devices = [] } = options;
  const { supervisor, exited, release } = await supervise({ command: [...command], cwd, env, devices });
  const stdout = endOf(supervisor.stdout);
  const stderr = endOf(supervisor.stderr);
  supervisor.stdin.on('error', () => undefined); // the command may exit without reading
  supervisor.stdin.end(stdin);

  const ended: string[] = [];
  const timers: NodeJS.Timeout[] = [];
  const end = (why: string) => {
    ended.push(why);
    supervisor.kill('SIGTERM');
    timers.push(setTimeout(release, GRACE_MS));
  };
  timers.push(setTimeout(() => end(`took more than ${timeoutMs / 1000} s`), timeoutMs));
  const onAbort = () => end('was ended');
  signal.addEventListener('abort', onAbort, { once: true });
  if (signal.aborted) onAbort();
  try {
    const { code, signal: bySignal } = await exited;
    const captured = { stdout: stdout(), stderr: stderr() };
    if (ended[0] !== undefined) throw new CaptureError(`${command[0]} ${ended[0]}`, captured);
    if (code === 0) return captured;
    const how = bySignal === null ? `exit code ${code}` : `signal ${bySignal}`;
    throw new CaptureError(
      `${command[0]} ended with ${how}: ${lastLine(captured.stderr).slice(0, 300)}`,
      captured,
      code,
    );
  } finally {
    timers.forEach(clearTimeout);
    signal.removeEventListener('abort', onAbort);
  }
}

/**
 * Collects the end of a stream. Cut only once it has doubled: cutting at every chunk would copy all of it each time, and a
 * flood would hold up the worker.
 */
function endOf(stream: Readable): () => string {
  let chunks: string[] = [];
  let length = 0;
  const end = () => chunks.join('').slice(-MAX_OUTPUT);
  stream.setEncoding('utf8').on('data', (chunk: string) => {
    chunks.push(chunk);
    length += chunk.length;
    if (length < 2 * MAX_OUTPUT) return;
    chunks = [end()];
    length = MAX_OUTPUT;
  });
  return end;
}
