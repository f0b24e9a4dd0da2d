/** Other programs, run to their end within a time limit, with what they said. */
import { spawn } from 'node:child_process';
import { StringDecoder } from 'node:string_decoder';

interface Options {
  timeoutMs: number;
  env?: NodeJS.ProcessEnv;
}

interface Outcome {
  /** Exit code 0 within the time limit. */
  ok: boolean;
  stdout: string;
  /** The last part of what it said on stderr. */
  stderr: string;
  /** Why it is not ok, in a few words: could not be started, exit code, signal, or the time limit. */
  reason: string;
}

const KEPT_CHARACTERS = 16_000;

/** Runs a program; never throws. It stays in our process group, so that Ctrl-C ends it too. */
export function run(command: string, args: string[], { timeoutMs, env }: Options): Promise<Outcome> {
  return new Promise((resolve) => {
    const child = spawn(command, args, { env: env ?? process.env, stdio: ['ignore', 'pipe', 'pipe'] });
    const stdout = lastOf(child.stdout);
    const stderr = lastOf(child.stderr);
    let timedOut = false;
    const timer = setTimeout(() => {
      timedOut = true;
      child.kill('SIGKILL');
      // A grandchild may hold the pipes open for long.
      child.stdout.destroy();
      child.stderr.destroy();
    }, timeoutMs);
    const end = (reason: string): void => {
      clearTimeout(timer);
      resolve({ ok: reason === '', stdout: stdout(), stderr: stderr(), reason });
    };
    child.on('error', (error: NodeJS.ErrnoException) =>
      end(error.code === 'ENOENT' ? `${command} is not there` : error.message),
    );
    child.on('close', (code, signal) => {
      if (timedOut) end(`did not end within ${timeoutMs / 1000} s`);
      else if (signal !== null) end(`ended by ${signal}`);
      else end(code === 0 ? '' : `exit code ${code}`);
    });
  });
}

function lastOf(stream: NodeJS.ReadableStream): () => string {
  const decoder = new StringDecoder('utf8');
  let text = '';
  stream.on('data', (data: Buffer) => {
    text = (text + decoder.write(data)).slice(-KEPT_CHARACTERS);
  });
  return () => text;
}
