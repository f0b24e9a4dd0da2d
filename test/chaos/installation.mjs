/** A whole installation in folders of its own, with a lab: what a user has, seen from outside. */
import { execFile, execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, mkdirSync, realpathSync, symlinkSync } from 'node:fs';
import { createConnection } from 'node:net';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { processesOf } from './processes.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const bin = join(dirname(dirname(here)), 'bin', 'autoresearch.js');
/** Below the ports that the kernel gives to anybody: while the server is down nobody takes its place. */
const PORTS = { low: 20_000, count: 10_000 };
/** Room for the server's history of a few hundred experiments. */
const DISK_MB = 256;
const COMMAND_MS = 180_000;
export const TAG = 'chaos';
const STEPS = 20;

export class Installation {
  /** @param {{ root: string, tools: string, python: string, random: () => number }} where */
  static async create({ root, tools, python, random }) {
    mkdirSync(root);
    const isSmall = mountSmall(root);
    for (const name of ['home', 'cache/autoresearch']) mkdirSync(join(root, name), { recursive: true });
    symlinkSync(tools, join(root, 'cache', 'autoresearch', 'tools'));
    const ports = [await freePort(random), await freePort(random)];
    return new Installation({ root, isSmall, python, ports });
  }

  constructor({ root, isSmall, python, ports: [port, uiPort] }) {
    this.root = root;
    /** Whether it has a disk of its own, which can be filled. */
    this.isSmall = isSmall;
    this.ports = ['--port', String(port), '--ui-port', String(uiPort)];
    this.env = {
      ...process.env,
      HOME: join(root, 'home'),
      XDG_STATE_HOME: join(root, 'state'),
      XDG_RUNTIME_DIR: join(root, 'run'),
      XDG_CACHE_HOME: join(root, 'cache'),
      AUTORESEARCH_PYTHON: python,
      AUTORESEARCH_DEVICES: 'cpu',
    };
  }

  /** Runs `autoresearch … --json`, whatever its exit code. @returns {Promise<{code: number | string, said: string}>} */
  run(...args) {
    return new Promise((resolve) => {
      const options = { env: this.env, cwd: this.root, maxBuffer: 64 << 20, timeout: COMMAND_MS };
      execFile(process.execPath, [bin, ...args, '--json'], options, (error, stdout, stderr) => {
        const code = error === null ? 0 : (error.code ?? error.signal ?? 'unknown');
        resolve({ code, said: code === 0 ? stdout : `${stdout}${stderr}` });
      });
    });
  }

  /** As `run`. @throws Error if it fails */
  async must(...args) {
    const { code, said } = await this.run(...args);
    if (code !== 0) throw new Error(`autoresearch ${args.join(' ')} ended with ${code}: ${said}`);
    return JSON.parse(said);
  }

  up = () => this.run('up', ...this.ports);

  /** A fresh lab, and a study on it that ends after so many experiments. @returns {Promise<Study>} */
  async startStudy(name, experiments) {
    const lab = join(this.root, name);
    cpSync(join(here, 'lab'), lab, { recursive: true });
    const study = new Study(this, lab);
    study.git('init', '--quiet', '--initial-branch', 'main');
    study.git('add', '--all');
    study.git(
      '-c',
      'user.name=chaos',
      '-c',
      'user.email=chaos@localhost',
      'commit',
      '--quiet',
      '-m',
      'a lab',
    );
    const researcher = `python3 ${join(here, 'propose.py')}`;
    // prettier-ignore
    await this.must(
      'start', '--lab', lab, '--tag', TAG, '--train-steps', String(STEPS), '--experiments', String(experiments),
      '--researcher', 'command', '--command', researcher,
    );
    return study;
  }

  processes = () => processesOf(this.root);

  remove() {
    if (this.isSmall) execFileSync('umount', [this.root]);
  }
}

/** One study and its lab, read with plain git and plain files. */
export class Study {
  constructor(installation, lab) {
    this.installation = installation;
    this.lab = lab;
  }

  git(...args) {
    return execFileSync('git', args, {
      cwd: this.lab,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    }).trim();
  }

  /** The folder of the study's runs and proposals. */
  state() {
    const id = createHash('sha256').update(realpathSync(this.lab)).digest('hex').slice(0, 8);
    return join(this.installation.root, 'state', 'autoresearch', 'labs', id, TAG);
  }

  verify = () => this.installation.run('verify', TAG, '--lab', this.lab);
}

/** Gives a folder a small disk of its own, where this user may. */
function mountSmall(folder) {
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${DISK_MB}m`, 'chaos', folder], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

async function freePort(random) {
  for (;;) {
    const port = PORTS.low + Math.floor(random() * PORTS.count);
    if (!(await answers(port))) return port;
  }
}

function answers(port) {
  return new Promise((resolve) => {
    const socket = createConnection({ port, host: '127.0.0.1' });
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}
