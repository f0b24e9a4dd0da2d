/**
 * Time to stop a run at once, and to stop a worker: a separate installation, the chaos suite's lab, candidates that resist.
 *
 *     npm run build && node bench/stopping.mjs [TIMES]
 *
 * One JSON line per figure, in seconds of wall time: from the start of `stop --now` until every process of the run has ended and the
 * device's lock is free (`answered`: until the command itself has ended); from SIGTERM to the worker until it has ended, with the
 * runner still running. Exit code 1 if a worker's end also ended its run.
 */
import { execFile, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { processesOf, signal } from '../test/chaos/processes.mjs';
import { median, round } from './long-life/figures.mjs';

const TIMES = Number(process.argv[2] ?? 10);
const LOOK_MS = 10;
/** The status of a study is asked of a process of its own. */
const STATUS_MS = 200;
const DEAF = 'signal.signal(signal.SIGTERM, signal.SIG_IGN)';
/** Each leaves two generations and their session behind, and keeps the output open. */
const DAEMONS = `for _ in range(4):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            ${DEAF}
            time.sleep(86400)
        os._exit(0)`;
const CANDIDATES = {
  'works on': { code: '' },
  'ignores SIGTERM': { code: DEAF },
  'has left four daemons that ignore SIGTERM': { code: DAEMONS, daemons: 4 },
  'is stopped by SIGSTOP': { code: '', isFrozen: true },
};

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const require = createRequire(import.meta.url);
const { isAlive, ownerOf } = require('../dist/process/owner.js');
const { cacheRoot } = require('../dist/process/paths.js');

const home = mkdtempSync(join(tmpdir(), 'stopping-'));
const state = join(home, 'state', 'autoresearch');
const env = {
  ...process.env,
  HOME: join(home, 'home'),
  XDG_STATE_HOME: join(home, 'state'),
  XDG_RUNTIME_DIR: join(home, 'run'),
  XDG_CACHE_HOME: dirname(cacheRoot()),
  AUTORESEARCH_DEVICES: 'cpu',
};
for (const name of Object.keys(env)) if (name.startsWith('TEMPORAL_')) delete env[name];

/** Runs `autoresearch … --json`. @throws Error if it fails */
function ask(...args) {
  return new Promise((resolve, reject) => {
    const command = [join(root, 'bin', 'autoresearch.js'), ...args, '--json'];
    execFile(process.execPath, command, { env, cwd: home }, (error, stdout, stderr) => {
      if (error === null) resolve(JSON.parse(stdout));
      else reject(new Error(`autoresearch ${args.join(' ')}: ${stdout}${stderr}`));
    });
  });
}

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  return String(port);
}

const ports = ['--port', await freePort(), '--ui-port', await freePort()];
const up = async () => (await ask('up', ...ports)).worker.owner;

/** A lab whose own train.py, which is experiment 0, does this and then trains until it is ended. */
function makeLab(name, code) {
  const lab = join(home, name);
  cpSync(join(root, 'test', 'chaos', 'lab'), lab, { recursive: true });
  const file = join(lab, 'train.py');
  const begun = `import signal\n\nHELD = True\n${code}\n\n\n`;
  const text = readFileSync(file, 'utf8').replace(/^HELD = False.*$/mu, '');
  writeFileSync(file, text.replace('def softmax', `${begun}def softmax`));
  const git = (...args) => execFileSync('git', args, { cwd: lab });
  git('init', '--quiet', '--initial-branch', 'main');
  git('add', '--all');
  git('-c', 'user.name=bench', '-c', 'user.email=bench@localhost', 'commit', '--quiet', '--message', 'a lab');
  return lab;
}

/** A process and all that it has started. */
function familyOf(pid) {
  const all = processesOf(home);
  const found = all.filter((each) => each.pid === pid);
  for (const { pid: parent } of found) found.push(...all.filter((each) => each.parent === parent));
  return found;
}

/** Waits until a study's candidate trains. @returns {Promise<{ runner: object, all: object[] }>} owners: the runner's, all of the run's */
async function trains(tag, daemons) {
  for (;;) {
    await sleep(LOOK_MS * 10);
    const labs = existsSync(join(state, 'labs')) ? readdirSync(join(state, 'labs')) : [];
    const files = labs.map((lab) =>
      join(state, 'labs', lab, tag, 'runs', '0000', '1', 'train-1', 'status.json'),
    );
    const file = files.find((each) => existsSync(each));
    const status = file === undefined ? null : JSON.parse(readFileSync(file, 'utf8'));
    if (status?.phase !== 'training' || !isAlive(status.owner)) continue;
    const own = familyOf(status.owner.pid);
    const trainers = own.filter(({ role }) => role === 'trainer');
    if (trainers.length !== 1 + daemons) continue;
    return { runner: status.owner, trainers, all: own.map(({ pid }) => ownerOf(pid)).filter(Boolean) };
  }
}

/** Resolves once this process has had the lock itself. */
async function isFree(lock) {
  const [code] = await once(spawn('flock', [lock, 'true'], { stdio: 'inherit' }), 'exit');
  if (code !== 0) throw new Error(`flock ended with ${code}: expected util-linux's`);
}

async function haveGone(processes) {
  while (processes.some(isAlive)) await sleep(LOOK_MS);
}

async function secondsOf(work) {
  const from = performance.now();
  await work();
  return (performance.now() - from) / 1000;
}

function say(what, candidate, seconds, more = {}) {
  const figures = { median: round(median(seconds)), maximum: round(Math.max(...seconds)), unit: 's' };
  console.log(
    JSON.stringify({ bench: 'stopping', what, candidate, times: seconds.length, ...figures, ...more }),
  );
}

async function stopNow(candidate, index, { code, daemons = 0, isFrozen = false }) {
  const tag = `stop-${index}`;
  const lab = makeLab(tag, code);
  // prettier-ignore
  await ask('start', '--lab', lab, '--tag', tag, '--train-steps', '20', '--experiments', '1', '--researcher', 'command', '--command', 'true');
  const [seconds, answered] = [[], []];
  let most = 0;
  for (;;) {
    const { trainers, all } = await trains(tag, daemons);
    most = Math.max(most, all.length);
    if (isFrozen) signal(trainers, 'SIGSTOP');
    const stop = async () => answered.push(await secondsOf(() => ask('stop', tag, '--now')));
    const lock = join(state, 'devices', 'cpu.lock');
    const [took] = await Promise.all([secondsOf(() => Promise.all([haveGone(all), isFree(lock)])), stop()]);
    seconds.push(took);
    while ((await ask('status', tag)).study.phase !== 'stopped') await sleep(STATUS_MS);
    if (seconds.length === TIMES) break;
    await ask('resume', tag);
  }
  say('stop --now, until nothing of the run is left and its device is free', candidate, seconds, {
    answered: round(median(answered)),
    processes: most,
  });
}

/** Waits until a worker has taken the training, once more than `before`. @returns {Promise<number>} how often it has been taken */
async function isWatched(tag, before) {
  for (;;) {
    const { current } = await ask('status', tag);
    const { name, attempt, isWaiting } = current?.activity ?? {};
    if (name === 'train' && !isWaiting && attempt > before) return attempt;
    await sleep(STATUS_MS);
  }
}

/** @returns {Promise<boolean>} whether each run went on */
async function terminateWorkers() {
  const tag = 'worker';
  const lab = makeLab(tag, '');
  // prettier-ignore
  await ask('start', '--lab', lab, '--tag', tag, '--train-steps', '20', '--experiments', '1', '--researcher', 'command', '--command', 'true');
  const { runner, all } = await trains(tag, 0);
  const seconds = [];
  let untouched = 0;
  for (let taken = 0; seconds.length < TIMES;) {
    const worker = await up();
    taken = await isWatched(tag, taken);
    process.kill(worker.pid, 'SIGTERM');
    seconds.push(await secondsOf(() => haveGone([worker])));
    if (all.every(isAlive)) untouched += 1;
  }
  const goesOn = isAlive(runner) && untouched === TIMES;
  say('SIGTERM to the worker, until it has gone', 'trains, and goes on', seconds, { untouched });
  return goesOn;
}

try {
  await up();
  for (const [index, [candidate, how]] of Object.entries(CANDIDATES).entries())
    await stopNow(candidate, index, how);
  process.exitCode = (await terminateWorkers()) ? 0 : 1;
} finally {
  await ask('down');
  rmSync(home, { recursive: true, force: true });
}
