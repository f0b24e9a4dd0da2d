/** One process in its sandbox, ended together with all its descendants. */
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Sandbox } from '../domain/experiment';
import { supervise, type Exit, type Supervised } from '../process/supervise';
import { Cgroup, MAX_TASKS, NoCgroupError } from './cgroup';
import { OutOfMemoryCount } from './out-of-memory';
import type { Enclosed } from './sandbox';

/** How the process ended. */
export interface ContainedExit extends Exit {
  /** False if the sandbox failed before the command began. */
  began: boolean;
  /** True if the kernel killed the process for lack of memory. Without a cgroup: if it killed any process of the host. */
  outOfMemory: boolean;
  /** True if it was killed by a limit on CPU seconds that it had set itself. */
  hitOwnLimit: boolean;
}

const LINUX = process.platform === 'linux';
/** How long the supervisor may take to end everything before the runner helps: it may have been stopped. */
const SUPERVISOR_MS = 2_000;
/** How long to wait for killed processes when the supervisor can go on waiting. */
const SLOW_MS = 10_000;
/** How long to wait otherwise: a driver may take minutes to free a process's resources. */
const STUCK_MS = 5 * 60_000;
const POLL_MS = 10;

export class Contained {
  /** Resolves when the command and all its descendants have exited. */
  readonly exited: Promise<ContainedExit>;

  private constructor(
    private readonly supervised: Supervised,
    private readonly cgroup: Cgroup | null,
    onOutput: (chunk: Buffer) => void,
  ) {
    const { supervisor } = supervised;
    supervisor.stdin.on('error', () => undefined).end();
    for (const stream of [supervisor.stdout, supervisor.stderr]) stream.on('data', onOutput);
    // Without a cgroup the kernel does not say which process it killed.
    const host = new OutOfMemoryCount();
    this.exited = supervised.exited.then((exit) => ({
      ...exit,
      began: supervised.begunPid() !== null,
      outOfMemory: cgroup === null ? host.hasRisen() : cgroup.hasRunOut(),
      hitOwnLimit: supervised.hitOwnLimit(),
    }));
    this.exited.catch(() => undefined);
  }

  /** @param lock descriptor of the device's lock, which is held until all processes in the sandbox have exited */
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
   * Kills everything in the sandbox, double forks included, and resolves when all of it has exited.
   * @param isDone true if the result is known: processes that hang in the kernel are then left to the supervisor, which holds
   * the device's lock until they exit
   * @throws Error if processes hang and `isDone` is false
   */
  async kill(isDone = false): Promise<void> {
    this.supervised.release();
    // A stopped supervisor reacts to nothing, and would hold the device for ever once this process has exited.
    this.wake();
    const began = performance.now();
    while (this.isThere()) {
      const ms = performance.now() - began;
      if (ms > (isDone && this.isSupervised() ? SLOW_MS : STUCK_MS)) {
        const hanging = 'processes of the sandbox hang in the kernel and cannot be killed';
        if (!isDone) throw new Error(`${hanging}; the device stays locked until they exit`);
        console.error(hanging);
        return;
      }
      if (ms > SUPERVISOR_MS || !this.isSupervised()) this.help();
      await sleep(POLL_MS);
    }
    if (this.cgroup === null) return;
    // `exited` reads the cgroup's counters.
    await this.exited.catch(() => undefined);
    await this.cgroup.remove();
  }

  /** Kills all but the supervisor, which holds the lock that other runs wait for. */
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
   * Pids on the host of all processes of the run, the sandbox's own included. This process is their subreaper, so orphans are
   * among its descendants.
   */
  everyone(): number[] {
    return LINUX ? descendants(process.pid) : [-this.supervised.supervisor.pid];
  }

  /**
   * Pids of processes that lowered their oom_score_adj, so that the kernel no longer kills them first. Without
   * CAP_SYS_RESOURCE the kernel lets a process take back the value that the supervisor has set.
   */
  spared(): number[] {
    const pid = this.supervised.begunPid();
    if (!LINUX || pid === null) return [];
    // bubblewrap's first process has the initial value, and no process inside can change it.
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
    // It has exited.
  }
}

/** All descendants of a process, without zombies. */
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

/** Null if the process has exited. */
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
