/**
 * As much of systemd as a unit of ours uses: a bare environment and EnvironmentFile=, specifiers, ExecStart=, Restart=, and
 * KillMode= over all that the unit has started. What would be its cgroup is told by INVOCATION_ID, which systemd sets too.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { errorCode } from '../../src/process/error-code';

/** In the place of RestartSec=, so that a test is quick. */
const RESTART_MS = 500;
/** Of a user manager, as Debian has it. */
const PATH = '/usr/local/bin:/usr/bin:/bin';

export class Unit {
  readonly #settings: Map<string, string>;
  readonly #invocation = randomUUID().replaceAll('-', '');
  /** null while it is not to run. */
  #main: ChildProcess | null = null;

  /** @param home of the user whose unit it is; XDG_CONFIG_HOME is not set */
  constructor(
    file: string,
    private readonly home: string,
  ) {
    const specifiers: Record<string, string> = { '%Y': dirname(file), '%E': join(home, '.config') };
    const lines = readFileSync(file, 'utf8')
      .split('\n')
      .filter((line) => /^\w+=/u.test(line));
    this.#settings = new Map(
      lines.map((line) => {
        const [, name = '', value = ''] = /^(\w+)=(.*)$/u.exec(line) ?? [];
        return [name, value.replace(/%[YE]/gu, (specifier) => specifiers[specifier] ?? '')];
      }),
    );
  }

  get pid(): number {
    return this.#main?.pid ?? 0;
  }

  start(): void {
    const [program = '', ...args] = this.#setting('ExecStart').split(' ');
    const main = spawn(program, args, { cwd: this.home, env: this.#environment(), stdio: 'inherit' });
    this.#main = main;
    main.once('exit', () => void this.#ended(main));
  }

  /** `systemctl stop` */
  async stop(): Promise<void> {
    const main = this.#main;
    this.#main = null;
    if (main === null || main.exitCode !== null || main.signalCode !== null) return;
    const gone = once(main, 'exit');
    const left =
      this.#setting('KillMode') === 'process'
        ? [main.pid ?? 0]
        : withVariable(`INVOCATION_ID=${this.#invocation}`);
    send(left, 'SIGTERM');
    await gone;
  }

  /** All of this user's at once and without a word. */
  async powerFails(): Promise<void> {
    this.#main = null;
    for (let left = this.ofUser(); left.length > 0; left = this.ofUser()) {
      // Stopped first, so that none sees another die.
      for (const signal of ['SIGSTOP', 'SIGKILL'] as const) send(left, signal);
      await sleep(50);
    }
  }

  /** Whatever this user has running, started by the unit or by hand. */
  ofUser = (): number[] => withVariable(`HOME=${this.home}`);

  async #ended(main: ChildProcess): Promise<void> {
    if (this.#setting('Restart') !== 'always') return;
    await sleep(RESTART_MS);
    if (this.#main === main) this.start();
  }

  #setting(name: string): string {
    return this.#settings.get(name) ?? '';
  }

  #environment(): NodeJS.ProcessEnv {
    const file = this.#setting('EnvironmentFile').replace(/^-/u, '');
    const given = existsSync(file) ? readFileSync(file, 'utf8').split('\n') : [];
    const pairs = given
      .filter((line) => line.includes('='))
      .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]);
    return { PATH, HOME: this.home, INVOCATION_ID: this.#invocation, ...Object.fromEntries(pairs) };
  }
}

/** One that has ended meanwhile is no error. */
function send(pids: number[], signal: NodeJS.Signals): void {
  for (const pid of pids) {
    try {
      process.kill(pid, signal);
    } catch (error) {
      if (errorCode(error) !== 'ESRCH') throw error;
    }
  }
}

function withVariable(pair: string): number[] {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/u.test(name));
  return pids.filter((pid) => environmentOf(pid).includes(pair)).map(Number);
}

/** Empty for a process that has ended meanwhile. */
function environmentOf(pid: string): string[] {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0');
  } catch {
    return [];
  }
}
