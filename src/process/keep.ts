/** Starts a process that ends with this one, together with everything that it has started: keep.py says how. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { Duplex, type Readable, type Writable } from 'node:stream';
import { python3, LaunchError } from './interpreter';
import { asset } from './package-root';

interface Keep {
  command: string[];
  cwd?: string;
  env?: NodeJS.ProcessEnv;
  /** Ended before others when the host is short of memory, and leaves no core file. */
  expendable?: boolean;
  /** A sandbox with a gate in it. */
  gated?: boolean;
}

export interface Kept {
  /** Ends as the command does (128 + n for signal n), once nothing that it has started is left. */
  keeper: ChildProcess & { pid: number; stdin: Writable; stdout: Readable; stderr: Readable };
  /** Whether the command itself has begun: a sandbox may fail before. */
  hasBegun(): boolean;
  /** Lets the keeper end everything at once; it exits then. */
  release(): void;
}

/** @throws LaunchError if there is no Python to start it with */
export async function keep({ command, cwd, env, expendable = false, gated = false }: Keep): Promise<Kept> {
  const task = JSON.stringify({ command, expendable, gated });
  const keeper = spawn(await python3(), ['-I', '-S', asset('src', 'process', 'keep.py'), task], {
    cwd,
    env,
    detached: true,
    stdio: ['pipe', 'pipe', 'pipe', 'pipe'],
  });
  await once(keeper, 'spawn');
  const lifeline = keeper.stdio[3];
  if (!(lifeline instanceof Duplex) || !isStarted(keeper))
    throw new LaunchError(`cannot start ${command[0]}`);
  let said = '';
  lifeline.on('data', (chunk: Buffer) => (said += chunk.toString('utf8'))).on('error', () => undefined);
  return { keeper, hasBegun: () => said.includes('began'), release: () => lifeline.destroy() };
}

function isStarted(child: ChildProcess): child is Kept['keeper'] {
  return child.pid !== undefined && child.stdin !== null && child.stdout !== null && child.stderr !== null;
}
