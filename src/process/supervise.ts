/** Runs a command under supervisor.py, which ends it and all its descendants when this process ends. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { constants } from 'node:os';
import { Duplex, type Readable, type Writable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { errorCode } from './error-code';
import { LaunchError, python3 } from './interpreter';
import { asset } from './package-root';

/** Time for output that arrives after the exit. Without a subreaper, an orphan may hold the pipe open for ever. */
const LAST_OUTPUT_MS = 1_000;
const BEGAN = /^began (\d+) (\w+)$/m;
const ENDED = /^ended (-?\d+) (\w+)$/m;
/** The descriptor on which bubblewrap reads its seccomp program. */
export const FILTER_DESCRIPTOR = 6;

interface Task {
  command: string[];
  cwd?: string | undefined;
  env?: NodeJS.ProcessEnv | undefined;
  /** The kernel kills it first when memory is short. It leaves no core file. */
  expendable?: boolean;
  /** A sandbox with a gate in it. */
  gated?: boolean;
  /** The folder of the cgroup v2 that it starts in. */
  cgroup?: string | undefined;
  /** The kernel's limit on processes and threads of a gated sandbox. */
  tasks?: number | undefined;
  /** Descriptor of a lock that the supervisor also holds until all descendants have ended, even if this process dies. */
  lock?: number | null;
  /** The seccomp program that the sandbox reads from FILTER_DESCRIPTOR. */
  filter?: Buffer | null;
  /** Device files that the command may use but not change. */
  devices?: readonly string[];
}

const taskLimitSchema = z.enum(['rlimit', 'namespace', 'nothing']);
/** What limits the tasks of a sandbox; see limit_tasks in supervisor.py. */
export type TaskLimit = z.infer<typeof taskLimitSchema>;

/** How a command ended. If the kernel hides it, exit code 128 + n means signal n. */
export interface Exit {
  code: number | null;
  signal: string | null;
}

export interface Supervised {
  supervisor: ChildProcess & { pid: number; stdin: Writable; stdout: Readable; stderr: Readable };
  /** Resolves when the command and all its descendants have ended and its output has arrived. */
  exited: Promise<Exit>;
  /** The command's pid; null before the command has begun, also if a sandbox fails to start it. */
  begunPid: () => number | null;
  /** True if a CPU limit that the command set itself killed it. */
  hitOwnLimit: () => boolean;
  /** What limits its processes and threads; `nothing` before the command has begun. */
  taskLimit: () => TaskLimit;
  /** Ends the command and all its descendants at once; the supervisor then exits. */
  release: () => void;
}

/** @throws LaunchError if there is no Python 3 */
export async function supervise({
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
}: Task): Promise<Supervised> {
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
  const supervisor = spawn(await python3(), ['-I', '-S', asset('src', 'process', 'supervisor.py'), task], {
    cwd,
    env,
    detached: true,
    // Descriptors as in supervisor.py's docstring; 4 is the gate.
    stdio: ['pipe', 'pipe', 'pipe', 'pipe', 'ignore', lock ?? 'ignore', filter === null ? 'ignore' : 'pipe'],
  });
  await once(supervisor, 'spawn');
  if (filter !== null) sendFilter(supervisor, filter);
  const lifeline = supervisor.stdio[3];
  if (!(lifeline instanceof Duplex) || !isStarted(supervisor))
    throw new LaunchError(`cannot start ${command[0]}`);
  let reported = '';
  lifeline.on('data', (chunk: Buffer) => (reported += chunk.toString('utf8'))).on('error', () => undefined);
  return {
    supervisor,
    exited: exitOf(supervisor, () => reported),
    begunPid: () => begunPid(reported),
    hitOwnLimit: () => ENDED.exec(reported)?.[2] === 'own',
    taskLimit: () => taskLimitSchema.parse(BEGAN.exec(reported)?.[2] ?? 'nothing'),
    release: () => {
      // Kill without waiting for the supervisor: during a fork bomb it may get no CPU for long.
      const pid = begunPid(reported);
      if (pid !== null && supervisor.exitCode === null && supervisor.signalCode === null) kill(pid);
      lifeline.destroy();
    },
  };
}

/** Writes the seccomp program to a child that has FILTER_DESCRIPTOR as a pipe. */
export function sendFilter(child: ChildProcess, filter: Buffer): void {
  const stdio: readonly unknown[] = child.stdio;
  const pipe = stdio[FILTER_DESCRIPTOR];
  if (!(pipe instanceof Duplex)) throw new Error(`descriptor ${FILTER_DESCRIPTOR} is not a pipe`);
  // A child that ends early does not read; its exit code gives the reason.
  pipe.on('error', () => undefined).end(filter, () => pipe.destroy());
}

function begunPid(reported: string): number | null {
  const pid = BEGAN.exec(reported)?.[1];
  return pid === undefined ? null : Number(pid);
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if (errorCode(error) !== 'ESRCH') throw error;
  }
}

/** @param reported what the supervisor has written to the lifeline so far */
async function exitOf(supervisor: ChildProcess, reported: () => string): Promise<Exit> {
  const closed = once(supervisor, 'close');
  const [code, signal] = z
    .tuple([z.int().nullable(), z.string().nullable()])
    .parse(await once(supervisor, 'exit'));
  await Promise.race([closed, sleep(LAST_OUTPUT_MS, undefined, { ref: false })]);
  supervisor.stdout?.destroy();
  supervisor.stderr?.destroy();
  const ended = ENDED.exec(reported())?.[1];
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

function isStarted(child: ChildProcess): child is Supervised['supervisor'] {
  return child.pid !== undefined && child.stdin !== null && child.stdout !== null && child.stderr !== null;
}
