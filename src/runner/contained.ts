/** One process in its sandbox: started, watched, ended together with everything that it has started. */
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Sandbox } from '../domain/experiment';
import { supervise, type Exit, type Supervised } from '../process/supervise';
import { Cgroup, MAX_TASKS, NoCgroupError } from './cgroup';
import { OutOfMemoryCount } from './out-of-memory';
import type { Enclosed } from './sandbox';

/** How it ended, and what else there is to know of that. */
export interface ContainedExit extends Exit {
  /** Whether the command has begun: a sandbox may fail before. */
  began: boolean;
  /** Whether the kernel has killed it, or somebody who may have been it, for lack of memory. */
  outOfMemory: boolean;
  /** Whether it was killed by a limit on CPU seconds that it set itself. */
  hitOwnLimit: boolean;
}

const LINUX = process.platform === 'linux';
/** How long the supervisor may take to end everything before it gets help: somebody may have stopped it. */
const SUPERVISOR_MS = 2_000;
/** How long the kernel may take to end what was killed, where there is a supervisor to leave it to. */
const SLOW_MS = 10_000;
/** And where all waits for that: a driver may take minutes to give back what a process had. */
const STUCK_MS = 5 * 60_000;
const POLL_MS = 10;

export class Contained {
  /** Resolves when the command has ended, and with it whatever it has left behind. */
  readonly exited: Promise<ContainedExit>;

  private constructor(
    private readonly supervised: Supervised,
    private readonly cgroup: Cgroup | null,
    onOutput: (chunk: Buffer) => void,
  ) {
    const { supervisor } = supervised;
    supervisor.stdin.on('error', () => undefined).end();
    for (const stream of [supervisor.stdout, supervisor.stderr]) stream.on('data', onOutput);
    // Where the run has no cgroup the kernel does not say whose memory it was.
    const host = new OutOfMemoryCount();
    this.exited = supervised.exited.then((exit) => ({
      ...exit,
      began: supervised.begunPid() !== null,
      outOfMemory: cgroup === null ? host.hasRisen() : cgroup.hasRunOut(),
      hitOwnLimit: supervised.hitOwnLimit(),
    }));
    this.exited.catch(() => undefined);
  }

  /** @param lock the descriptor of what nobody else may have before all in the sandbox has gone */
  static async start(
    sandbox: Sandbox,
    { argv, env, cwd, filter, devices }: Enclosed,
    onOutput: (chunk: Buffer) => void,
    lock: number | null,
  ): Promise<Contained> {
    const gated = sandbox === 'bubblewrap';
    const cgroup = tryMakeCgroup();
    try {
      const task = { command: argv, cwd, env, gated, tasks: MAX_TASKS, cgroup: cgroup?.folder, lock };
      return new Contained(await supervise({ ...task, filter, devices, expendable: true }), cgroup, onOutput);
    } catch (error) {
      await cgroup?.remove();
      throw error;
    }
  }

  /**
   * Ends everything in the sandbox at once and resolves when it is gone, double forks included.
   * @param isDone whether its work is done, so that nobody has to wait long for processes that hang in the kernel: their end,
   * and the device's lock until then, is left to the supervisor
   * @throws Error if they hang and it is not
   */
  async kill(isDone = false): Promise<void> {
    this.supervised.release();
    // One that was stopped hears nothing, and would hold the device for ever if this process came to its end first.
    this.wake();
    const began = performance.now();
    while (this.isThere()) {
      const ms = performance.now() - began;
      if (ms > (isDone && this.isSupervised() ? SLOW_MS : STUCK_MS)) {
        const trouble = 'processes of the sandbox hang in the kernel and cannot be ended';
        if (!isDone) throw new Error(`${trouble}; the device waits for them`);
        console.error(trouble);
        return;
      }
      if (ms > SUPERVISOR_MS || !this.isSupervised()) this.help();
      await sleep(POLL_MS);
    }
    if (this.cgroup === null) return;
    // The exit tells what the cgroup says.
    await this.exited.catch(() => undefined);
    await this.cgroup.remove();
  }

  /** Ends all but the supervisor: with it would go the lock, which others are to wait for. */
  private help(): void {
    this.wake();
    if (!LINUX) return;
    const { pid } = this.supervised.supervisor;
    for (const other of this.everyone()) if (other !== pid) send(other, 'SIGKILL');
  }

  private wake(): void {
    if (this.isSupervised()) send(this.supervised.supervisor.pid, 'SIGCONT');
  }

  /**
   * Pids on the host of all that runs inside, the sandbox's own ones included: this process has adopted whoever lost its
   * parent.
   */
  everyone(): number[] {
    return LINUX ? descendants(process.pid) : [-this.supervised.supervisor.pid];
  }

  /**
   * Pids of processes that are no longer the first to go when the host is short of memory. Where the worker has no
   * CAP_SYS_RESOURCE the kernel lets a process take back what supervisor.py has set.
   */
  spared(): number[] {
    const pid = this.supervised.begunPid();
    if (!LINUX || pid === null) return [];
    // bubblewrap's own first process has what all began with, and no process inside can reach it.
    const first = oomScore(pid);
    return descendants(pid).filter((inside) => {
      const score = oomScore(inside);
      return first !== null && score !== null && score < first;
    });
  }

  private isSupervised(): boolean {
    return this.supervised.supervisor.exitCode === null && this.supervised.supervisor.signalCode === null;
  }

  private isThere(): boolean {
    return this.isSupervised() || (LINUX && this.everyone().length > 0);
  }
}

function tryMakeCgroup(): Cgroup | null {
  try {
    return Cgroup.make();
  } catch (error) {
    if (error instanceof NoCgroupError) return null;
    throw error;
  }
}

function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // Gone by itself.
  }
}

/** Everything below a process, zombies left out. */
function descendants(root: number): number[] {
  const children = new Map<number, number[]>();
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const parent = parentOf(name);
    if (parent !== null) children.set(parent, [...(children.get(parent) ?? []), Number(name)]);
  }
  const found: number[] = [];
  for (
    let next = children.get(root) ?? [];
    next.length > 0;
    next = next.flatMap((pid) => children.get(pid) ?? [])
  ) {
    found.push(...next);
  }
  return found;
}

/** Null when the process has gone. */
function oomScore(pid: number): number | null {
  try {
    return Number(readFileSync(`/proc/${pid}/oom_score_adj`, 'utf8'));
  } catch {
    return null;
  }
}

function parentOf(pid: string): number | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const [state, parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return state === 'Z' ? null : Number(parent);
  } catch {
    return null;
  }
}
