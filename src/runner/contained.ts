/** One process in its sandbox: started, watched, ended together with everything that it has started. */
import { spawn, type ChildProcess } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Sandbox } from '../domain/experiment';
import { isAlive, ownerOf, type Owner } from '../process/owner';
import type { Enclosed } from './sandbox';

/** How it ended. A shell's and bubblewrap's 128 + n is signal n. */
export interface Exit {
  code: number | null;
  signal: string | null;
  /** The sandbox failed before the command began. */
  setUp: boolean;
}

/**
 * Runs first: whoever is short of memory ends the candidate before anything else, and no core files are written.
 */
const PREFACE = [
  '/bin/sh',
  '-c',
  'echo 1000 2>/dev/null >/proc/self/oom_score_adj; ulimit -c 0; exec "$@"',
  'sh',
];
const LINUX = process.platform === 'linux';
/** How long the kernel may take to end what was killed. */
const GONE_MS = 10_000;
const POLL_MS = 10;

export class Contained {
  /** Resolves when the command itself has ended; what it has left behind may still be there. */
  readonly exited: Promise<Exit>;
  private readonly child: ChildProcess;
  /** First process of the sandbox's PID namespace: when it ends, the kernel ends all others in it. */
  private init: Owner | null = null;
  private commandRan = false;

  constructor(
    private readonly sandbox: Sandbox,
    { argv, env, cwd }: Enclosed,
    onOutput: (chunk: Buffer) => void,
  ) {
    const [program, ...rest] = [...PREFACE, ...argv];
    const status = sandbox === 'bubblewrap' ? 'pipe' : 'ignore';
    this.child = spawn(program!, rest, {
      cwd,
      env,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe', status],
    });
    for (const stream of [this.child.stdout, this.child.stderr]) stream?.on('data', onOutput);
    const report = this.child.stdio[3];
    if (report instanceof Readable) this.readStatus(report);
    this.exited = new Promise((resolve, reject) => {
      this.child.once('error', reject);
      this.child.once('exit', (code, signal) => {
        // The last output and the last status arrive after the exit, but not if a survivor keeps the pipes open.
        void Promise.race([new Promise((closed) => this.child.once('close', closed)), sleep(200)]).then(() =>
          resolve(this.exit(code, signal)),
        );
      });
    });
    this.exited.catch(() => undefined);
  }

  /** Ends everything in the sandbox at once and resolves when it is gone, double forks included. */
  async kill(): Promise<void> {
    const end = performance.now() + GONE_MS;
    do {
      if (this.child.exitCode === null && this.child.signalCode === null) this.child.kill('SIGKILL');
      for (const pid of this.everyone()) tryKill(pid);
      if (!this.isThere()) return;
      await sleep(POLL_MS);
    } while (performance.now() < end);
    throw new Error('processes of the sandbox hang in the kernel and cannot be ended');
  }

  /** Pids on the host of all that runs inside, the sandbox's own ones included. */
  everyone(): number[] {
    if (this.init !== null) return isAlive(this.init) ? [this.init.pid, ...descendants(this.init.pid)] : [];
    // Without a namespace: this process has adopted whoever lost its parent.
    return LINUX ? descendants(process.pid) : [-(this.child.pid ?? 0)];
  }

  private isThere(): boolean {
    if (this.child.exitCode === null && this.child.signalCode === null && this.child.pid !== undefined)
      return true;
    return LINUX && this.everyone().length > 0;
  }

  /** bubblewrap's status: one JSON object when the namespace is there, one when the command has ended. */
  private readStatus(status: Readable): void {
    let said = '';
    status.on('data', (chunk: Buffer) => {
      said += chunk.toString('utf8');
      const pid = /"child-pid": (\d+)/.exec(said)?.[1];
      if (pid !== undefined) this.init ??= ownerOf(Number(pid));
      if (said.includes('"exit-code"')) this.commandRan = true;
    });
    status.on('error', () => undefined);
  }

  private exit(code: number | null, signal: string | null): Exit {
    const setUp = this.sandbox === 'none' || this.commandRan || signal !== null;
    if (code !== null && code > 128) {
      const name = Object.entries(constants.signals).find(([, number]) => number === code - 128)?.[0];
      if (name !== undefined) return { code: null, signal: name, setUp };
    }
    return { code, signal, setUp };
  }
}

function tryKill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
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

function parentOf(pid: string): number | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const [state, parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return state === 'Z' ? null : Number(parent);
  } catch {
    return null;
  }
}
