/** Starts a process that ends with this one, together with everything that it has started: keep.py says how. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { constants } from 'node:os';
import { Duplex, type Readable, type Writable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { errorCode } from './error-code';
import { LaunchError, python3 } from './interpreter';
import { asset } from './package-root';

/** For the last output, which arrives after the exit. Where orphans cannot be found, one may keep it open for ever. */
const LAST_OUTPUT_MS = 1_000;
const BEGAN = /^began (\d+) (\w+)$/m;
const ENDED = /^ended (-?\d+) (\w+)$/m;
/** The descriptor on which bubblewrap reads its seccomp program. */
export const FILTER_DESCRIPTOR = 6;

interface Keep {
  command: string[];
  cwd?: string | undefined;
  env?: NodeJS.ProcessEnv | undefined;
  /** Ended before others when the host is short of memory, and leaves no core file. */
  expendable?: boolean;
  /** A sandbox with a gate in it. */
  gated?: boolean;
  /** The folder of the cgroup v2 that it begins in. */
  cgroup?: string | undefined;
  /** How many processes and threads the kernel may allow that sandbox. */
  tasks?: number | undefined;
  /** The descriptor of a lock that is not free before the keeper has ended everything, should this process die before. */
  lock?: number | null;
  /** The seccomp program that the sandbox reads from FILTER_DESCRIPTOR. */
  filter?: Buffer | null;
  /** Device files that the command may use but not change. */
  devices?: readonly string[];
}

const taskLimitSchema = z.enum(['rlimit', 'namespace', 'nothing']);
/** What limits the tasks of a sandbox: keep.py says which does where. */
export type TaskLimit = z.infer<typeof taskLimitSchema>;

/** How a command ended. Where the kernel does not show it, 128 + n is signal n. */
export interface Exit {
  code: number | null;
  signal: string | null;
}

export interface Kept {
  keeper: ChildProcess & { pid: number; stdin: Writable; stdout: Readable; stderr: Readable };
  /** Resolves when the command has ended, nothing that it has started is left, and its output is here. */
  exited: Promise<Exit>;
  /** The pid of what was started; null before the command itself has begun, which a sandbox may fail to reach. */
  begunPid: () => number | null;
  /** Whether it was killed by a limit on CPU seconds that it set itself. */
  hitOwnLimit: () => boolean;
  /** What limits its processes and threads; `nothing` before it has begun. */
  taskLimit: () => TaskLimit;
  /** Lets the keeper end everything at once; it exits then. */
  release: () => void;
}

/** @throws LaunchError if there is no Python to start it with */
export async function keep({
  command,
  cwd,
  env,
  expendable = false,
  gated = false,
  cgroup,
  tasks,
  lock = null,
  filter = null,
  devices = [],
}: Keep): Promise<Kept> {
  const task = JSON.stringify({
    command,
    expendable,
    gated,
    cgroup: cgroup ?? null,
    tasks: tasks ?? null,
    locked: lock !== null,
    filtered: filter !== null,
    devices,
  });
  const keeper = spawn(await python3(), ['-I', '-S', asset('src', 'process', 'supervisor.py'), task], {
    cwd,
    env,
    detached: true,
    // keep.py's docstring has the numbers; descriptor 4 is the gate's.
    stdio: ['pipe', 'pipe', 'pipe', 'pipe', 'ignore', lock ?? 'ignore', filter === null ? 'ignore' : 'pipe'],
  });
  await once(keeper, 'spawn');
  if (filter !== null) sendFilter(keeper, filter);
  const lifeline = keeper.stdio[3];
  if (!(lifeline instanceof Duplex) || !isStarted(keeper))
    throw new LaunchError(`cannot start ${command[0]}`);
  let said = '';
  lifeline.on('data', (chunk: Buffer) => (said += chunk.toString('utf8'))).on('error', () => undefined);
  return {
    keeper,
    exited: exitOf(keeper, () => said),
    begunPid: () => begunPid(said),
    hitOwnLimit: () => ENDED.exec(said)?.[2] === 'own',
    taskLimit: () => taskLimitSchema.parse(BEGAN.exec(said)?.[2] ?? 'nothing'),
    release: () => {
      // Without waiting for the keeper to be given the CPU: amid a fork bomb that may take long.
      const pid = begunPid(said);
      if (pid !== null && keeper.exitCode === null && keeper.signalCode === null) kill(pid);
      lifeline.destroy();
    },
  };
}

/** Writes the seccomp program to a child that has FILTER_DESCRIPTOR as a pipe. */
export function sendFilter(child: ChildProcess, filter: Buffer): void {
  const stdio: readonly unknown[] = child.stdio;
  const pipe = stdio[FILTER_DESCRIPTOR];
  if (!(pipe instanceof Duplex)) throw new Error(`descriptor ${FILTER_DESCRIPTOR} is no pipe`);
  // A child that ends early reads nothing; its exit says why.
  pipe.on('error', () => undefined).end(filter, () => pipe.destroy());
}

function begunPid(said: string): number | null {
  const pid = BEGAN.exec(said)?.[1];
  return pid === undefined ? null : Number(pid);
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if (errorCode(error) !== 'ESRCH') throw error;
  }
}

/** @param said what the keeper has written on the lifeline by now */
async function exitOf(keeper: ChildProcess, said: () => string): Promise<Exit> {
  const closed = once(keeper, 'close');
  const [code, signal] = z
    .tuple([z.int().nullable(), z.string().nullable()])
    .parse(await once(keeper, 'exit'));
  await Promise.race([closed, sleep(LAST_OUTPUT_MS, undefined, { ref: false })]);
  keeper.stdout?.destroy();
  keeper.stderr?.destroy();
  const ended = ENDED.exec(said())?.[1];
  if (ended !== undefined) {
    const status = Number(ended);
    return status < 0
      ? { code: null, signal: signalName(-status) ?? `signal ${-status}` }
      : { code: status, signal: null };
  }
  const name = code === null ? undefined : signalName(code - 128);
  return name === undefined ? { code, signal } : { code: null, signal: name };
}

const signalName = (number: number): string | undefined =>
  Object.entries(constants.signals).find(([, each]) => each === number)?.[0];

function isStarted(child: ChildProcess): child is Kept['keeper'] {
  return child.pid !== undefined && child.stdin !== null && child.stdout !== null && child.stderr !== null;
}
