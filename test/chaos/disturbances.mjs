/** What is done to an installation: each kills, stops or leaves something behind, and heals what `up` cannot. */
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  rmSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { TAG } from './installation.mjs';
import { signal } from './processes.mjs';

const ATTEMPT = /^\d{4}\/\d+\/(train|score)-\d+$/u;

/** Kills one role. Runners and trainers that die are named, so that their second attempts are accounted for. */
const kill = (role, name = 'SIGKILL', downMs = () => 0) =>
  async function ({ installation, random }) {
    const victims = installation.processes().filter((each) => each.role === role);
    const struck = victims.length > 0 && /runner|trainer/u.test(role) ? liveTasks(installation) : [];
    signal(victims, name);
    await sleep(downMs(random));
    return { hit: victims.length, struck };
  };

/** As a power cut does: all are stopped first, so that none sees another die. */
async function everything({ installation }) {
  const victims = installation.processes();
  const struck = liveTasks(installation);
  signal(victims, 'SIGSTOP');
  signal(victims, 'SIGKILL');
  return { hit: victims.length, struck };
}

const freeze = (role, ms) =>
  async function ({ installation, random }) {
    const victims = installation.processes().filter((each) => each.role === role);
    signal(victims, 'SIGSTOP');
    await sleep(ms(random));
    signal(victims, 'SIGCONT');
    return { hit: victims.length, struck: [] };
  };

/** As a git that was killed leaves them: some just now, some long ago. */
async function locks({ study, random }) {
  const next = (kind) => {
    const number = Number(study.git('rev-list', '--count', `autoresearch-ledger/${TAG}`)) - 1;
    return `refs/autoresearch/${TAG}/${kind}/${String(number).padStart(4, '0')}.lock`;
  };
  const names = [
    `refs/heads/autoresearch-ledger/${TAG}.lock`,
    `refs/heads/autoresearch/${TAG}.lock`,
    next('exp'),
    next('proposal'),
  ];
  const left = names
    .filter(() => random() < 0.5)
    .map((name) => join(study.lab, '.git', name))
    .filter((file) => !existsSync(file));
  for (const file of left) {
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, '');
    const age = random() < 0.5 ? 0 : 600;
    utimesSync(file, Date.now() / 1000 - age, Date.now() / 1000 - age);
  }
  return { hit: left.length, struck: [] };
}

/** No byte is left for seconds, for the lab, the server's database and the runs alike. */
async function fullDisk({ installation, study, random }) {
  const file = join(installation.root, 'ballast');
  const before = liveTasks(installation);
  const known = new Set(attemptsOf(study));
  const ballast = openSync(file, 'w');
  try {
    for (const bytes of [1 << 20, 1 << 12]) fill(ballast, Buffer.alloc(bytes, 1));
    await sleep(between(1_000, 8_000)(random));
  } finally {
    closeSync(ballast);
    rmSync(file);
  }
  // What began meanwhile may have ended for lack of room as well.
  const begun = attemptsOf(study).filter((attempt) => !known.has(attempt));
  return { hit: 1, struck: [...before, ...begun] };
}

/** Every attempt's folder so far. */
function attemptsOf(study) {
  const runs = join(study.state(), 'runs');
  if (!existsSync(runs)) return [];
  const paths = readdirSync(runs, { recursive: true }).filter((path) => ATTEMPT.test(path));
  return paths.map((path) => join(runs, path));
}

function fill(file, piece) {
  try {
    for (;;) writeSync(file, piece);
  } catch (error) {
    if (error.code !== 'ENOSPC') throw error;
  }
}

/** Two hands at once, after the worker has died or while it lives. */
async function upTwice({ installation, random }) {
  const workers = installation.processes().filter((each) => each.role === 'worker');
  const victims = random() < 0.5 ? workers : [];
  signal(victims, 'SIGKILL');
  const answers = await Promise.all([installation.up(), installation.up()]);
  const failed = answers.find(({ code }) => code !== 0);
  if (failed !== undefined) throw new Error(`one of two \`up\` failed with ${failed.code}: ${failed.said}`);
  return { hit: victims.length, struck: [] };
}

const between = (low, high) => (random) => low + random() * (high - low);

/** Where there is a runner, or soon will be. */
const RUNNING = [
  'at any instant',
  'runner takes over',
  'candidate starts',
  'candidate trains',
  'candidate hands in',
  'scorer at work',
];

/** `mayRepeat`: a run that is under way may be begun again because of it. `points`: all, where none are named. */
export const DISTURBANCES = {
  'worker killed': { strike: kill('worker'), mayRepeat: false },
  'worker ended': { strike: kill('worker', 'SIGTERM', between(0, 2_000)), mayRepeat: false },
  'server killed': { strike: kill('server'), mayRepeat: false },
  'server down for seconds': { strike: kill('server', 'SIGKILL', between(2_000, 8_000)), mayRepeat: false },
  'server ended': { strike: kill('server', 'SIGTERM', between(0, 2_000)), mayRepeat: false },
  'runner killed': { strike: kill('runner'), mayRepeat: true, points: RUNNING, needs: 'runner' },
  'trainer killed': { strike: kill('trainer'), mayRepeat: true, points: RUNNING, needs: 'trainer' },
  'everything killed': { strike: everything, mayRepeat: true },
  'worker frozen': { strike: freeze('worker', between(1_000, 15_000)), mayRepeat: false },
  'server frozen': { strike: freeze('server', between(1_000, 8_000)), mayRepeat: false },
  'runner frozen': {
    strike: freeze('runner', between(1_000, 6_000)),
    mayRepeat: false,
    points: RUNNING,
    needs: 'runner',
  },
  'trainer frozen': {
    strike: freeze('trainer', between(1_000, 6_000)),
    mayRepeat: false,
    points: RUNNING,
    needs: 'trainer',
  },
  'git locks left': { strike: locks, mayRepeat: false },
  'disk full': { strike: fullDisk, mayRepeat: true, needsSmall: true },
  'up, twice at once': { strike: upTwice, mayRepeat: false },
};

/** What was left of locks that nobody needed to take is the driver's to clear away. */
export function clearLocks(study) {
  for (const name of [`refs/heads/autoresearch-ledger/${TAG}`, `refs/heads/autoresearch/${TAG}`])
    rmSync(join(study.lab, '.git', `${name}.lock`), { force: true });
}

/** Attempts whose runner is there, waiting for the device or at work. */
export function liveTasks(installation) {
  const tasks = installation.processes().flatMap(({ task }) => task ?? []);
  return [...new Set(tasks)];
}
