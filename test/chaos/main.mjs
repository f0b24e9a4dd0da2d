/**
 * `npm run test:chaos -- [--kills 25] [--seed 1] [--experiments 8] [--installations 3] [--keep]`: the same study
 * undisturbed once, then again and again while a seeded sequence of disturbances strikes; one JSON line for each, and
 * a last line {kills, lost, double, leaked, secondsSpentTwice, troubles}. Exits with 0 only when all but the first are 0.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { Installation } from './installation.mjs';
import { compare, outcomeOf, recorded, secondsSpentTwice } from './outcome.mjs';
import { processesOf } from './processes.mjs';
import { generator, shuffled } from './random.mjs';
import { clearLocks, DISTURBANCES, liveTasks } from './disturbances.mjs';
import { POINTS, reach } from './points.mjs';

const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '25' },
    seed: { type: 'string', default: '1' },
    experiments: { type: 'string', default: '8' },
    installations: { type: 'string', default: '3' },
    only: { type: 'string' },
    keep: { type: 'boolean', default: false },
  },
});
const WANTED = Number(values.kills);
const EXPERIMENTS = Number(values.experiments);
/** A point may not come: the study may be at its end, or wait for a heartbeat that never comes. */
const POINT_MS = 20_000;
const INSTANT_MS = 4_000;
/** Without a record for this long the study is stuck: far more than any timeout of an activity. */
const STUCK_MS = 420_000;
const AGREED_MS = 60_000;
/** Of one run's attempts so many may be lost by our hand: a third one is its last. */
const STRIKES = 2;

const dist = join(dirname(dirname(dirname(fileURLToPath(import.meta.url)))), 'dist');
const compiled = async (path) => (await import(pathToFileURL(join(dist, path)).href)).default;
const total = { kills: 0, lost: 0, double: 0, leaked: 0, secondsSpentTwice: 0, troubles: 0 };
const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
const began = performance.now();
const elapsed = () => Math.round((performance.now() - began) / 100) / 10;

async function main() {
  const { trainerPython } = await compiled('setup/trainer-python.js');
  const { toolCache } = await compiled('process/paths.js');
  const python = trainerPython();
  if (python === null)
    throw new Error('the trainer has no Python environment yet: run `npm run setup` first');
  const root = mkdtempSync(join(tmpdir(), 'ch-'));
  const installations = [];
  for (let index = 0; index < Number(values.installations); index++) {
    const random = generator(Number(values.seed) * 1000 + index);
    const place = { root: join(root, String(index)), tools: toolCache(), python, random };
    installations.push({ installation: await Installation.create(place), random, index });
  }
  try {
    const reference = await undisturbed(installations[0].installation);
    say({
      reference: reference.map(({ number, verdict, score }) => [number, verdict, score]),
      seconds: elapsed(),
    });
    await Promise.all(installations.map((each) => disturb(each, reference)));
  } catch (error) {
    total.troubles += 1;
    say({ error: String(error) });
  } finally {
    await Promise.all(installations.map(({ installation }) => installation.run('down')));
    await sleep(500);
    const leaked = processesOf(root);
    total.leaked = leaked.length;
    if (leaked.length > 0) say({ leaked });
    for (const { pid } of leaked) process.kill(pid, 'SIGKILL');
    if (values.keep) say({ kept: root });
    else for (const { installation } of installations) installation.remove();
    if (!values.keep) rmSync(root, { recursive: true, force: true });
  }
  say({ ...total, seed: Number(values.seed), seconds: elapsed() });
  const { kills, ...faults } = total;
  process.exitCode = kills >= WANTED && Object.values(faults).every((fault) => fault === 0) ? 0 : 1;
}

async function undisturbed(installation) {
  await installation.must('up', ...installation.ports);
  const study = await installation.startStudy('undisturbed', EXPERIMENTS);
  while (recorded(study) < EXPERIMENTS) await sleep(300);
  const verified = await study.verify();
  if (verified.code !== 0) throw new Error(`the undisturbed study does not verify: ${verified.said}`);
  return outcomeOf(study);
}

/** Studies in one installation, one after the other, until enough has been done to all of them together. */
async function disturb({ installation, random, index }, reference) {
  const { code, said } = await installation.up();
  if (code !== 0) throw new Error(`up ended with ${code}: ${said}`);
  const deck = endless(installation, random);
  for (let round = 1; total.kills < WANTED; round++) {
    const study = await installation.startStudy(`lab-${round}`, EXPERIMENTS);
    const struck = new Set();
    const where = { installation: index, round };
    let progress = { count: 0, at: performance.now() };
    const isOver = () => {
      const count = recorded(study);
      if (count > progress.count) progress = { count, at: performance.now() };
      return count >= EXPERIMENTS;
    };
    while (!isOver()) {
      if (performance.now() - progress.at > STUCK_MS) {
        total.lost += 1;
        say({
          ...where,
          stuck: progress.count,
          status: (await installation.run('status', '--lab', study.lab)).said,
        });
        return;
      }
      if (total.kills < WANTED)
        await once({ installation, study, random, struck, isOver, where }, deck.next().value);
      else await sleep(300);
    }
    clearLocks(study);
    await judge(study, reference, struck, where);
  }
}

/** Every disturbance at every point, in a seeded order, again and again. */
function* endless({ isSmall }, random) {
  const wanted = values.only === undefined ? Object.keys(DISTURBANCES) : values.only.split(',');
  const names = wanted.filter((name) => isSmall || DISTURBANCES[name].needsSmall !== true);
  if (names.length < wanted.length) say({ leftOut: 'disk full', because: 'this user may not mount a tmpfs' });
  const pairs = names.flatMap((name) =>
    (DISTURBANCES[name].points ?? Object.keys(POINTS)).map((point) => ({ name, point })),
  );
  for (;;) yield* shuffled(pairs, random);
}

/** Waits for the point, strikes, brings everything up again and verifies. */
async function once({ installation, study, random, struck, isOver, where }, { name, point }) {
  let reached = true;
  if (POINTS[point] === null) await sleep(random() * INSTANT_MS);
  else reached = await reach(study, point, POINT_MS, isOver);
  if (isOver()) return;
  const { strike, mayRepeat, needs } = DISTURBANCES[name];
  if (needs !== undefined && !(await comesToLife(installation, needs))) return;
  if (mayRepeat && liveTasks(installation).some((task) => strikesOf(struck, task) >= STRIKES)) return;
  const at = recorded(study);
  const problems = [];
  const told = await strike({ installation, study, random }).catch((error) => {
    problems.push(String(error));
    return { hit: 0, struck: [] };
  });
  for (const task of told.struck) struck.add(task);
  const struckAt = performance.now();
  let up = await installation.up();
  // One that was asked to end may still have answered.
  if (up.code === 0 && !lives(installation, 'server')) up = await installation.up();
  if (up.code !== 0) problems.push(`up ended with ${up.code}: ${up.said}`);
  const upSeconds = (performance.now() - struckAt) / 1000;
  const verified = await agreed(study);
  if (verified.code !== 0) problems.push(`verify ended with ${verified.code}: ${verified.said}`);
  const double = await crowds(installation);
  if (told.hit > 0 || name === 'up, twice at once') total.kills += 1;
  total.double += double.length;
  total.troubles += problems.length;
  say({
    seconds: elapsed(),
    ...where,
    experiment: at,
    disturbance: name,
    point: reached ? point : `${point}: not reached`,
    hit: told.hit,
    struck: told.struck.map((task) => task.split('/runs/')[1]),
    upSeconds: Math.round(upSeconds * 10) / 10,
    double,
    problems,
  });
}

/** A runner is not always there: between two runs there is none. */
async function comesToLife(installation, role) {
  for (const end = performance.now() + INSTANT_MS; !lives(installation, role); await sleep(5))
    if (performance.now() > end) return false;
  return true;
}

const lives = (installation, role) => installation.processes().some((each) => each.role === role);

const strikesOf = (struck, task) => {
  const run = task.replace(/\d+$/u, '');
  return [...struck].filter((each) => each.startsWith(run)).length;
};

/** Between a record and its branch a worker may have died: the next one goes on within a heartbeat's timeout. */
async function agreed(study) {
  const end = performance.now() + AGREED_MS;
  for (;;) {
    const verified = await study.verify();
    if (verified.code === 0 || performance.now() > end) return verified;
    await sleep(1_000);
  }
}

/** More than one of what there may be one of; a moment's overlap is none. */
async function crowds(installation) {
  const look = () =>
    ['server', 'worker', 'runner', 'trainer'].filter((role) => {
      const found = installation.processes().filter((each) => each.role === role);
      // A candidate for the device's lock waits as hold.py, which is not a runner yet.
      return found.filter(({ command }) => !command.includes('hold.py')).length > 1;
    });
  const first = look();
  if (first.length === 0) return [];
  await sleep(1_500);
  const second = new Set(look());
  return first.filter((role) => second.has(role)).map((role) => `more than one ${role}`);
}

async function judge(study, reference, struck, where) {
  await sleep(500);
  const verified = await study.verify();
  const { lost, double } = compare(study, reference);
  if (verified.code !== 0) lost.push(`verify ended with ${verified.code}: ${verified.said}`);
  const { seconds, repeated } = secondsSpentTwice(study, struck);
  total.lost += lost.length;
  total.double += double.length;
  total.secondsSpentTwice += seconds;
  say({
    seconds: elapsed(),
    ...where,
    finished: reference.length,
    lost,
    double,
    secondsSpentTwice: seconds,
    repeated,
  });
}

await main();
