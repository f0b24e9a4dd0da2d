/** A whole installation in folders of its own: what a user has, seen from outside. */
import { execFile, execFileSync, spawn } from 'node:child_process';
import {
  closeSync,
  copyFileSync,
  mkdirSync,
  openSync,
  renameSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createConnection } from 'node:net';
import { basename, dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { GitTrap } from './git-trap.mjs';
import { processesOf, signal } from './processes.mjs';
import { Proxy } from './proxy.mjs';

const here = dirname(fileURLToPath(import.meta.url));
/** Below the ports that the kernel gives to anybody: while the server is down nobody takes its place. */
const PORTS = { low: 20_000, count: 10_000 };
/** Those of all installations: a server that is down for a while does not answer on its own. */
const dealtPorts = new Set();
/** Room for the server's history of a few hundred experiments, and for a few dozen labs. */
const DISK_MB = { state: 512, labs: 192 };
const COMMAND_MS = 180_000;
const SERVER_MS = 30_000;
/** The CLI's exit code for a server that was not reached, and how often `up` is tried. */
const UNREACHED = 4;
const UPS = 3;

export class Installation {
  /**
   * @param {object} where
   * @param {string} where.root a folder that is not there yet
   * @param {string} where.build the package that is struck
   * @param {{ tools: string, python: string, git: string, temporal: string, python3: string, bwrap: string | null }} where.host
   * @param {boolean} where.isRemote its server is named by TEMPORAL_ADDRESS, across a network of ours; else `up` starts it
   * @param {() => number} where.random
   */
  static async create({ random, ...where }) {
    const ports = [];
    while (ports.length < 3) {
      const port = PORTS.low + Math.floor(random() * PORTS.count);
      if (dealtPorts.has(port) || (await answers(port))) continue;
      dealtPorts.add(port);
      ports.push(port);
    }
    const installation = new Installation({ ...where, ports });
    if (installation.proxy !== null) await installation.proxy.listen();
    return installation;
  }

  constructor({ root, build, host, isRemote, ports: [port, uiPort, proxyPort] }) {
    this.root = root;
    this.labs = join(root, 'labs');
    mkdirSync(root);
    /** Whether it has disks of its own, which can be filled. */
    this.isSmall = mountSmall(root, DISK_MB.state);
    mkdirSync(this.labs);
    if (this.isSmall) mountSmall(this.labs, DISK_MB.labs);
    for (const name of ['home', 'bin/real', 'cache/autoresearch/python'])
      mkdirSync(join(root, name), { recursive: true });
    symlinkSync(host.tools, join(root, 'cache', 'autoresearch', 'tools'));
    // Taking it reads the whole environment: minutes for torch on a busy machine.
    copyFileSync(host.inventory, join(root, 'cache', 'autoresearch', 'python', basename(host.inventory)));
    for (const name of ['git', 'temporal', ...(host.bwrap === null ? [] : ['bwrap'])]) {
      copyFileSync(join(here, 'bin', name), join(root, 'bin', name));
      symlinkSync(host[name], join(root, 'bin', 'real', name));
    }
    // Past the shims of version managers, which cost more than what they stand before.
    symlinkSync(host.python3, join(root, 'bin', 'python3'));
    this.trap = new GitTrap(join(root, 'bin', 'trap'));
    /** Where bin/bwrap notes what was begun. */
    this.begun = join(root, 'bin', 'begun');
    this.port = port;
    this.uiPort = uiPort;
    this.address = `127.0.0.1:${port}`;
    this.proxy = isRemote ? new Proxy(proxyPort, port) : null;
    this.cli = join(build, 'bin', 'autoresearch.js');
    this.env = {
      ...process.env,
      PATH: `${join(root, 'bin')}:${process.env.PATH}`,
      HOME: join(root, 'home'),
      XDG_STATE_HOME: join(root, 'state'),
      XDG_RUNTIME_DIR: join(root, 'run'),
      XDG_CACHE_HOME: join(root, 'cache'),
      AUTORESEARCH_PYTHON: host.python,
      AUTORESEARCH_DEVICES: 'cpu',
      ...(isRemote && { TEMPORAL_ADDRESS: `127.0.0.1:${proxyPort}` }),
      // The server is a Go program and keeps the real date; so do runners, whom the worker gives no such settings.
      NODE_OPTIONS: `--require ${join(here, 'clock.cjs')}`,
      CHAOS_CLOCK: join(root, 'clock'),
    };
    this.setClock(0);
  }

  /** Moves the date of worker and commands by so many seconds from the real one; seen within a second. */
  setClock(seconds) {
    const file = join(this.root, 'clock');
    writeFileSync(`${file}.part`, String(seconds));
    renameSync(`${file}.part`, file);
  }

  /** Runs `autoresearch … --json`, whatever its exit code. @returns {Promise<{code: number | string, said: string}>} */
  run(...args) {
    return new Promise((resolve) => {
      const options = { env: this.env, cwd: this.root, maxBuffer: 64 << 20, timeout: COMMAND_MS };
      execFile(process.execPath, [this.cli, ...args, '--json'], options, (error, stdout, stderr) => {
        const code = error === null ? 0 : (error.code ?? error.signal ?? 'unknown');
        resolve({ code, said: code === 0 ? stdout : `${stdout}${stderr}` });
      });
    });
  }

  /**
   * What a user does after a disturbance, or an administrator, whose server it is then; once more when a busy machine was
   * too slow for it to find a server that is there.
   */
  async up() {
    const ports = ['--port', String(this.port), '--ui-port', String(this.uiPort)];
    for (let tries = 1; ; tries++) {
      if (this.proxy !== null) await this.#ensureServer();
      const answer = await this.run('up', ...(this.proxy === null ? ports : []));
      if (answer.code !== UNREACHED || tries === UPS) return answer;
    }
  }

  /** `down`, and what it leaves to an administrator. */
  async down() {
    const answer = await this.run('down');
    if (this.proxy !== null) signal(this.only('server'), 'SIGTERM');
    for (let tries = 0; this.only('server').length > 0 && tries < 50; tries++) await sleep(100);
    return answer;
  }

  /** A worker as nobody should start one: by hand, beside the one that `up` has started. */
  startSecondWorker() {
    const script = join(dirname(dirname(this.cli)), 'dist', 'worker.js');
    this.#detach('second-worker.log', process.execPath, [script]);
  }

  processes = (staleMs) => processesOf(this.root, staleMs);
  only = (...roles) => this.processes().filter(({ role }) => roles.includes(role));

  remove() {
    this.proxy?.close();
    if (!this.isSmall) return;
    for (const disk of [this.labs, this.root]) execFileSync('umount', ['--lazy', disk]);
  }

  async #ensureServer() {
    for (const end = performance.now() + SERVER_MS; performance.now() < end; await sleep(100)) {
      if (await answers(this.port)) return;
      // One that was killed just now may be there for a moment longer.
      if (this.only('server').length === 0) this.#startServer();
    }
    throw new Error(`the server does not listen on port ${this.port}`);
  }

  #startServer() {
    // prettier-ignore
    const args = [
      'server', 'start-dev', '--ip', '127.0.0.1', '--port', String(this.port), '--headless',
      '--db-filename', join(this.root, 'temporal.db'), '--log-level', 'warn', '--sqlite-pragma', 'journal_mode=wal',
    ];
    this.#detach('server.log', join(this.root, 'bin', 'temporal'), args);
  }

  #detach(name, command, args) {
    const log = openSync(join(this.root, name), 'a');
    const options = { env: this.env, cwd: this.root, stdio: ['ignore', log, log], detached: true };
    spawn(command, args, options).unref();
    closeSync(log);
  }
}

/** Gives a folder a small disk of its own, where this user may. */
function mountSmall(folder, megabytes) {
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m`, 'chaos', folder], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

function answers(port) {
  return new Promise((resolve) => {
    const socket = createConnection({ port, host: '127.0.0.1' });
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}
