/** A whole installation in folders of its own: CLI, dev server, worker and runners as a user has them. */
import { execFile, execFileSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Owner } from '../../src/process/owner';
import { asset, packageRoot } from '../../src/process/package-root';
import { cacheRoot } from '../../src/process/paths';
import { findTemporal } from '../../src/host/temporal-binary';
import { freePort } from '../ports';

const run = promisify(execFile);

/** An environment without torch, for labs that need none: looked through in no time before each scoring. */
export const smallPython = (folder: string, base: string): string =>
  execFileSync(base, [asset('test', 'small_python.py'), folder], { encoding: 'utf8' }).trim();

export interface Answered {
  code: number;
  stdout: string;
  stderr: string;
}

/** As far as tests look into what `status --json` says. */
export interface StatusAnswer {
  study: {
    phase: string;
    reason: string | null;
    line: string;
    limits: { experiments: number | null };
    spent: { experiments: number };
  };
  current: {
    number: number;
    activity: { name: string; progress: { phase: string; step: number } | null } | null;
  } | null;
  failing: { workflowId: string; attempt: number; reason: string } | null;
  problem: string | null;
  sandbox: string;
}

export class Service {
  private constructor(
    readonly root: string,
    /** Of every command; what `up` starts inherits it. A test may change it in between. */
    readonly env: NodeJS.ProcessEnv,
    /** Options of `up`. */
    readonly ports: string[],
    private readonly temporalPath: string,
  ) {}

  /** The installation that is called: another one is another version. */
  program = join(packageRoot(), 'bin', 'autoresearch.js');
  /** Whose commands they are; null is whoever runs the tests. Root may name another one. */
  user: number | null = null;

  static async create(): Promise<Service> {
    const root = await mkdtemp(join(tmpdir(), 'ar-'));
    const temporal = await findTemporal();
    if (temporal === null) throw new Error('no Temporal server: run `npm run setup` first');
    const env = {
      ...process.env,
      // Whoever runs the tests may have one; they neither ask nor pay.
      ANTHROPIC_API_KEY: undefined,
      HOME: join(root, 'home'),
      XDG_STATE_HOME: join(root, 'state'),
      XDG_RUNTIME_DIR: join(root, 'run'),
      // Made by the set-up, the same for all: hundreds of megabytes.
      XDG_CACHE_HOME: join(cacheRoot(), '..'),
    };
    const [port, ui] = await Promise.all([freePort(), freePort()]);
    return new Service(root, env, ['--port', String(port), '--ui-port', String(ui)], temporal.path);
  }

  lab = (): string => join(this.root, 'lab');

  /** Runs `autoresearch …`, whatever its exit code. */
  async run(...args: string[]): Promise<Answered> {
    try {
      const { stdout, stderr } = await run(...this.command(args), {
        env: this.env,
        cwd: this.root,
        maxBuffer: 64 << 20,
      });
      return { code: 0, stdout, stderr };
    } catch (error) {
      const failed = error as Error & { code?: number; stdout: string; stderr: string };
      if (typeof failed.code !== 'number') throw error;
      return { code: failed.code, stdout: failed.stdout, stderr: failed.stderr };
    }
  }

  private command(args: string[]): [string, string[]] {
    const words = [this.program, ...args];
    if (this.user === null) return [process.execPath, words];
    const who = [`--reuid=${this.user}`, `--regid=${this.user}`, '--clear-groups'];
    return ['setpriv', [...who, process.execPath, ...words]];
  }

  /** Gives what the test has made to the user. */
  handOver(folder: string): void {
    if (this.user !== null) execFileSync('chown', ['-R', `${this.user}:${this.user}`, folder]);
  }

  /** Runs it with `--json` and gives the document. @throws Error if it fails */
  async ask<T>(...args: string[]): Promise<T> {
    const { code, stdout, stderr } = await this.run(...args, '--json');
    if (code !== 0) throw new Error(`autoresearch ${args.join(' ')} ended with ${code}: ${stdout}${stderr}`);
    return JSON.parse(stdout) as T;
  }

  up = (): Promise<{ worker: { owner: Owner }; server: { address: string } }> =>
    this.ask('up', ...this.ports);

  status = (tag: string): Promise<StatusAnswer> => this.ask<StatusAnswer>('status', tag);

  /** The Temporal CLI, as somebody would use it who does not know ours. */
  async temporal(...args: string[]): Promise<string> {
    const { stdout } = await run(
      this.temporalPath,
      [...args, '--address', `127.0.0.1:${this.ports[1] ?? ''}`],
      { env: this.env },
    );
    return stdout;
  }

  async remove(): Promise<void> {
    await this.run('down');
    await rm(this.root, { recursive: true, force: true });
  }
}
