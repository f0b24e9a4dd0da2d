/** What the tests of runner and activities share: the compiled runner, made data, a folder of candidates. */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { replaceable } from '../../src/runs/attempts';
import { launch } from '../../src/process/detach';
import { readJson, writeJsonAtomic } from '../../src/process/json-file';
import { isAlive, terminate, type Owner } from '../../src/process/owner';
import { asset, packageRoot } from '../../src/process/package-root';
import { hashTree } from '../../src/labs/export';
import { ensureInventory } from '../../src/runner/inventory';
import { queuedStatus } from '../../src/runner/status-file';
import {
  taskStatusSchema,
  type ScoreSpec,
  type TaskSpec,
  type TaskStatus,
  type TrainSpec,
} from '../../src/runner/task';

export const ROWS = 1000;
export const ROW = 9;
/** Far more than anything takes, on a machine with ten times more to do than it can too. */
const CAP_SECONDS = 120;
const PYTHON = '/usr/bin/python3';

/** What `Contained` does first, in a process that can be killed at once; it hands on what its command says. */
const STARTER = `
const { enclose } = require('./runner/sandbox');
const { Contained } = require('./runner/contained');
const [tree, marker] = process.argv.slice(2);
const room = { python: '/usr/bin/python3', command: ['/bin/sh', '-c', 'echo began; sleep 600; exit 0', marker], device: 'cpu', tree,
  scratch: '/nonexistent', scratchBytes: 1 << 20, folders: [], env: {} };
enclose('bubblewrap', room).then((enclosed) => {
  Contained.start('bubblewrap', enclosed, (chunk) => process.stdout.write(chunk), null);
  process.stdout.write('started');
});
`;

export class Workshop {
  readonly folder: string;
  readonly data: string;
  readonly tree: string;
  readonly runner: string;
  /** For `killYoung`: `node STARTER TREE MARKER` starts a sandbox. */
  readonly starter: string;
  private readonly compiled: string;
  /** By the task's folder. */
  private readonly owners = new Map<string, Owner>();
  private readonly before = { ...process.env };
  private tasks = 0;

  constructor() {
    this.folder = mkdtempSync(join(tmpdir(), 'runner-'));
    this.data = join(this.folder, 'data');
    this.tree = join(this.folder, 'tree');
    const cache = join(packageRoot(), 'node_modules', '.cache');
    mkdirSync(cache, { recursive: true });
    this.compiled = mkdtempSync(join(cache, 'runner-'));
    // One test runs it as another user.
    chmodSync(this.compiled, 0o755);
    this.runner = join(this.compiled, 'runner', 'main.js');
    this.starter = join(this.compiled, 'starter.js');
    writeFileSync(this.starter, STARTER);
    execFileSync(asset('node_modules', '.bin', 'tsc'), [
      '-p',
      asset('test', 'runner', 'tsconfig.json'),
      '--outDir',
      this.compiled,
    ]);
    for (const variable of ['HOME', 'XDG_STATE_HOME', 'XDG_CACHE_HOME'])
      process.env[variable] = join(this.folder, 'home');
    process.env['XDG_RUNTIME_DIR'] = mkdtempSync(join(tmpdir(), 'rt-'));
    this.makeData();
    mkdirSync(this.tree);
    copyFileSync(asset('test', 'runner', 'candidate.py'), join(this.tree, 'candidate.py'));
  }

  /** Ends what is left and takes everything away. */
  async close(): Promise<void> {
    await Promise.all([...this.owners.values()].map((owner) => terminate(owner, { graceMs: 0 })));
    rmSync(process.env['XDG_RUNTIME_DIR']!, { recursive: true, force: true });
    process.env = { ...this.before };
    for (const folder of [this.folder, this.compiled]) rmSync(folder, { recursive: true, force: true });
  }

  /** Row i is BOS (0), then i eight times. */
  private makeData(): void {
    mkdirSync(this.data);
    const rows = new Uint16Array(ROWS * ROW).map((_, at) => (at % ROW === 0 ? 0 : Math.floor(at / ROW)));
    writeFileSync(join(this.data, 'train.bin'), rows);
    const sha256 = '0'.repeat(64);
    const manifest = {
      version: 1,
      source: 'made',
      vocabulary: ROWS,
      bos: 0,
      row: ROW,
      train: { file: 'train.bin', rows: ROWS, sha256 },
      val: { file: 'val.bin', rows: 1, sha256, bytes: 1 },
      token_bytes: { file: 'token_bytes.bin', sha256 },
      tokenizer: { file: 'tokenizer.json', sha256 },
    };
    writeFileSync(join(this.data, 'manifest.json'), JSON.stringify(manifest));
  }

  private common(command: string[]) {
    const task = join(this.folder, `task-${this.tasks++}`);
    mkdirSync(task);
    return {
      format: 1 as const,
      name: 'test/0001 run 1',
      tree: this.tree,
      data: this.data,
      python: PYTHON,
      device: 'cpu',
      command,
      submission: join(task, 'submission'),
      logBytes: 100_000,
      scratchBytes: 32 << 20,
      spentSeconds: 0,
    };
  }

  scoreSpec(command: string[], change: Partial<ScoreSpec> = {}): ScoreSpec {
    return { kind: 'score', ...this.common(command), blobs: {}, scoreSeconds: CAP_SECONDS, ...change };
  }

  trainSpec(candidate: string[], change: Partial<TrainSpec> = {}): TrainSpec {
    return {
      kind: 'train',
      ...this.common(['python', 'candidate.py', ...candidate]),
      seed: 42,
      budget: { steps: 20 },
      startupSeconds: CAP_SECONDS,
      startupGpuSeconds: null,
      submissionSeconds: CAP_SECONDS,
      stallSeconds: CAP_SECONDS,
      trainSeconds: 10 * CAP_SECONDS,
      weightsBytes: 1 << 20,
      ...change,
    };
  }

  /**
   * Starts the runner on a task, again if it was stopped, `prefix` before its command line. Its folder is where the submission
   * goes.
   */
  async start(
    spec: TaskSpec,
    { env = {}, prefix = [], waitFor = [] }: How = {},
  ): Promise<{ folder: string; owner: Owner }> {
    const folder = join(spec.submission, '..');
    await writeJsonAtomic(join(folder, 'spec.json'), await complete(spec));
    const earlier = this.owners.get(folder);
    if (earlier !== undefined) while (isAlive(earlier)) await sleep(20);
    const stopped = await readJson(join(folder, 'status.json'), taskStatusSchema);
    const owner = await launch({
      command: [...prefix, process.execPath, this.runner, folder],
      cwd: folder,
      env: { ...process.env, ...env },
      log: join(folder, 'runner.log'),
      lock: join(folder, 'lock'),
      name: 'test/0001 run 1',
      waitFor,
      queued: {
        file: join(folder, 'status.json'),
        content: queuedStatus(),
        instead: await replaceable(folder, stopped),
      },
      adoptOrphans: true,
    });
    if (owner === null) throw new Error('another process has the lock');
    this.owners.set(folder, owner);
    return { folder, owner };
  }

  /** Runs a task to its end. */
  async run(spec: TaskSpec, how: How = {}): Promise<Ended> {
    const { folder } = await this.start(spec, how);
    const status = await this.until(folder, ({ phase }) => phase === 'done' || phase === 'stopped');
    return { folder, status, log: readFileSync(join(folder, 'log'), 'utf8') };
  }

  async until(folder: string, condition: (status: TaskStatus) => boolean): Promise<TaskStatus> {
    const end = performance.now() + CAP_SECONDS * 1000;
    for (;;) {
      const status = await readJson(join(folder, 'status.json'), taskStatusSchema);
      if (status !== null && condition(status)) return status;
      if (performance.now() > end) {
        throw new Error(
          `still ${JSON.stringify(status)} after ${CAP_SECONDS} s; ${readFileSync(join(folder, 'runner.log'), 'utf8')}`,
        );
      }
      await sleep(20);
    }
  }
}

interface How {
  env?: Record<string, string>;
  prefix?: string[];
  waitFor?: string[];
}

export interface Ended {
  folder: string;
  status: TaskStatus;
  log: string;
}

/** What scores is as it is now, unless a test says otherwise. */
async function complete(spec: TaskSpec): Promise<TaskSpec> {
  if (spec.kind !== 'score' || Object.keys(spec.blobs).length > 0) return spec;
  await ensureInventory(spec.python);
  return { ...spec, blobs: await hashTree(spec.tree) };
}

/** Starts a command that begins once it has the device's lock. */
export async function nextAt(device: string, folder: string, command: string[]): Promise<Owner> {
  const [log, lock] = [join(folder, 'next.log'), join(folder, 'next.lock')];
  const owner = await launch({
    command,
    cwd: folder,
    env: process.env,
    log,
    lock,
    name: 'next',
    waitFor: [device],
  });
  if (owner === null) throw new Error('another process has its lock');
  return owner;
}

/** pgrep's exit code when it found nothing; any other one is an error. */
const NOBODY = 1;

/** Pids of all processes of this host with `marker` among their arguments. */
export function processesWith(marker: string): string[] {
  const { error, status, stdout, stderr } = spawnSync('pgrep', ['-f', '--', marker], { encoding: 'utf8' });
  if (error !== undefined) throw error;
  if (status === NOBODY) return [];
  if (status !== 0) throw new Error(`pgrep ended with ${status}, expected 0 or ${NOBODY}: ${stderr}`);
  return stdout.trim().split('\n');
}

/** A little longer than the process to kill takes. */
const BEYOND = 1.5;

/**
 * Starts a program again and again and kills it, at instants that are spread over what it takes to come up, and a little more.
 * @param command says "started" when it starts something, and hands on that one's "began"
 */
export async function killYoung(command: string[], kills: number): Promise<void> {
  const first = new Starter(command);
  await first.says('started');
  const started = performance.now();
  await first.says('began');
  const msToBegin = performance.now() - started;
  await first.kill();
  for (let kill = 0; kill < kills; kill++) {
    const starter = new Starter(command);
    await starter.says('started');
    await sleep((kill / kills) * BEYOND * msToBegin);
    await starter.kill();
  }
}

class Starter {
  private readonly child;
  private said = '';

  constructor([program = '', ...words]: string[]) {
    this.child = spawn(program, words, { stdio: ['ignore', 'pipe', 'inherit'] });
    this.child.stdout.on('data', (chunk: Buffer) => (this.said += String(chunk)));
  }

  async says(word: string): Promise<void> {
    while (!this.said.includes(word)) await once(this.child.stdout, 'data');
  }

  async kill(): Promise<void> {
    const gone = once(this.child, 'exit');
    this.child.kill('SIGKILL');
    await gone;
  }
}

export const SUPERVISOR = /supervisor\.py/;
export const CANDIDATE = /^\S*python\S* candidate\.py/;

/** Far more than it takes; what does not end by itself is never gone. */
export const GONE_MS = 15_000;

/** Which of those are there once they have had time to go. */
export async function left(marker: string): Promise<string[]> {
  const end = performance.now() + GONE_MS;
  for (;;) {
    const pids = processesWith(marker);
    if (pids.length === 0 || performance.now() > end) return pids;
    await sleep(20);
  }
}

/** Of those, the ones whose command line is like this. */
export const pidsOf = (marker: string, command: RegExp): number[] =>
  processesWith(marker)
    .map(Number)
    .filter((pid) => command.test(commandLine(pid)));

/** Empty when it has gone since. */
function commandLine(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
  } catch {
    return '';
  }
}
