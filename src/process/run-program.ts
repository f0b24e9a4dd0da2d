/** Runs another program to its end within a time limit, and returns its output. */
import { spawn } from 'node:child_process';
import { StringDecoder } from 'node:string_decoder';

interface Options {
  timeoutMs: number;
  env?: NodeJS.ProcessEnv;
}

interface Outcome {
  /** Exit code 0 within the time limit. */
  ok: boolean;
  /** The last megabyte of stdout. */
  stdout: string;
  /** The last 16,000 characters of stderr. */
  stderr: string;
  /** Why it is not ok, in a few words: not installed, exit code, signal or time limit. Empty if it is ok. */
  reason: string;
  /** How it ended. `missing`: there is no such program. `failed`: any other exit code, or a signal. */
  end: 'ok' | 'missing' | 'timeout' | 'failed';
}

const STDOUT_CHARACTERS = 1 << 20;
const STDERR_CHARACTERS = 16_000;

/** Runs a program; never throws. It stays in our process group, so that Ctrl-C ends it too. */
export function run(command: string, args: readonly string[], { timeoutMs, env }: Options): Promise<Outcome> {
  return new Promise((resolve) => {
    const child = spawn(command, args, { env: env ?? process.env, stdio: ['ignore', 'pipe', 'pipe'] });
    const stdout = tailOf(child.stdout, STDOUT_CHARACTERS);
    const stderr = tailOf(child.stderr, STDERR_CHARACTERS);
    let timedOut = false;
    const timer = setTimeout(() => {
      timedOut = true;
      child.kill('SIGKILL');
      // A grandchild may hold the pipes open for long.
      child.stdout.destroy();
      child.stderr.destroy();
    }, timeoutMs);
    const finish = (end: Outcome['end'], reason = ''): void => {
      clearTimeout(timer);
      resolve({ ok: end === 'ok', stdout: stdout(), stderr: stderr(), reason, end });
    };
    child.on('error', (error: NodeJS.ErrnoException) =>
      error.code === 'ENOENT'
        ? finish('missing', `${command} is not installed`)
        : finish('failed', error.message),
    );
    child.on('close', (code, signal) => {
      if (timedOut) finish('timeout', `did not end within ${timeoutMs / 1000} s`);
      else if (signal !== null) finish('failed', `ended by ${signal}`);
      else if (code === 0) finish('ok');
      else finish('failed', `exit code ${code}`);
    });
  });
}

/** As `run`, and returns stdout. @throws Error unless the program exits with 0 in time */
export async function outputOf(command: string, args: readonly string[], options: Options): Promise<string> {
  const { ok, stdout, stderr, reason } = await run(command, args, options);
  if (ok) return stdout;
  throw new Error(`${command} failed (${reason})${stderr.trim() === '' ? '' : `: ${stderr.trim()}`}`);
}

function tailOf(stream: NodeJS.ReadableStream, characters: number): () => string {
  const decoder = new StringDecoder('utf8');
  let text = '';
  stream.on('data', (data: Buffer) => {
    text = (text + decoder.write(data)).slice(-characters);
  });
  return () => text;
}
