/**
 * `npm run test:chaos -- [--kills 25] [--seed 1] [--experiments 8] [--installations 3] [--long] [--only KIND[@POINT]]…
 * [--build DIR] [--keep]`: the same study undisturbed once, then again and again while a seeded sequence of disturbances
 * strikes. One JSON line for each disturbance and each study that has come to its end, and a last line with the sums.
 * After each one the
 * histories are replayed. Exits with 0 only when nothing was lost, double, leaked or spent twice, and each replay agreed.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { DISTURBANCES } from './disturbances.mjs';
import { clearLocks } from './disturbances/files.mjs';
import { Installation } from './installation.mjs';
import { compare, outcomeOf, secondsSpentTwice } from './outcome.mjs';
import { deal } from './plan.mjs';
import { atMost } from './at-most.mjs';
import { POINTS } from './points.mjs';
import { processesOf, signal, strays } from './processes.mjs';
import { generator } from './random.mjs';
import { strikeOnce } from './strike.mjs';
import { phaseOf, Study } from './study.mjs';

const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '25' },
    seed: { type: 'string', default: '1' },
    experiments: { type: 'string', default: '8' },
    installations: { type: 'string', default: '3' },
    long: { type: 'boolean', default: false },
    only: { type: 'string', multiple: true },
    build: { type: 'string', default: dirname(dirname(dirname(fileURLToPath(import.meta.url)))) },
    keep: { type: 'boolean', default: false },
  },
});
const WANTED = Number(values.kills);
const SEED = Number(values.seed);
const EXPERIMENTS = Number(values.experiments);
/** Without a record for this long the study is stuck: far more than any timeout of an activity. */
const STUCK_MS = 420_000;
/** Nobody has asked it to wait so long: it may have paused itself. */
const PATIENCE_MS = 60_000;
/** So often a blow may find nobody before it falls elsewhere. */
const TRIES = 6;
/** What ends by itself is given so long to be gone. */
const LEAK_MS = 4_000;

/** With more servers and workers that begin at once than there are cores, those that begin are not in time for anybody. */
const coldStarts = atMost(availableParallelism());

const here = dirname(fileURLToPath(import.meta.url));
const build = resolve(values.build);
const compiled = async (path) => (await import(pathToFileURL(join(build, 'dist', path)).href)).default;
const total = {
  kills: 0,
  disturbances: 0,
  studies: 0,
  experiments: 0,
  lost: 0,
  double: 0,
  leaked: 0,
  trainSecondsSpentTwice: 0,
  scoreSecondsSpentTwice: 0,
  lostRequests: 0,
  disagreements: 0,
  troubles: 0,
};
const FAULTS = [
  'lost',
  'double',
  'leaked',
  'trainSecondsSpentTwice',
  'scoreSecondsSpentTwice',
  'lostRequests',
  'disagreements',
  'troubles',
];
const came = { kinds: new Set(), points: new Set() };
const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
const began = performance.now();
const elapsed = () => Math.round((performance.now() - began) / 100) / 10;

async function main() {
  const root = mkdtempSync(join(tmpdir(), 'ch-'));
  const host = await findHost(root);
  const installations = [];
  let counted = 'kills';
  for (const name of ['SIGINT', 'SIGTERM']) process.once(name, () => void abandon(root, installations));
  for (let index = 0; index < Number(values.installations); index++) {
    const random = generator(SEED, -1 - index);
    // No folder's name begins another's: processes are told apart by it. Of every three one has its server elsewhere.
    const where = {
      root: join(root, `i${String(index).padStart(2, '0')}`),
      build,
      host,
      isRemote: index % 3 === 1,
      random,
    };
    installations.push(await Installation.create(where));
  }
  try {
    const wish = { kills: WANTED, seed: SEED, only: values.only ?? null, isLong: values.long };
    const { queues, leftOut, counts } = deal(wish, installations);
    counted = counts;
    for (const name of leftOut) say({ leftOut: name, because: 'this host has no means for it' });
    const reference = undisturbed(installations[0]);
    reference.catch(() => undefined);
    await Promise.all(
      installations.map((installation, index) =>
        // One that is lost does not take the others along.
        disturb({ installation, index, queue: queues[index] }, reference).catch((error) => {
          total.troubles += 1;
          say({ installation: index, error: error.stack });
        }),
      ),
    );
  } finally {
    await Promise.all(installations.map((installation) => installation.down()));
    await countLeaks('after down', () => processesOf(root));
    if (values.keep) say({ kept: root });
    else {
      for (const installation of installations) installation.remove();
      rmSync(root, { recursive: true, force: true });
    }
  }
  const never = Object.keys(POINTS).filter((point) => !came.points.has(point));
  say({ kinds: came.kinds.size, points: came.points.size, pointsNotStruck: never });
  say({ ...total, seed: SEED, seconds: elapsed() });
  process.exitCode = total[counted] >= WANTED && FAULTS.every((fault) => total[fault] === 0) ? 0 : 1;
}

/** Asked to end: nothing stays behind. */
async function abandon(root, installations) {
  for (const end = performance.now() + LEAK_MS; performance.now() < end; await sleep(100))
    signal(processesOf(root), 'SIGKILL');
  for (const installation of installations) installation.remove();
  rmSync(root, { recursive: true, force: true });
  process.exit(130);
}

async function findHost(root) {
  const { toolCache } = await compiled('process/paths.js');
  const { findTemporal } = await compiled('host/temporal-binary.js');
  const temporal = await findTemporal();
  if (temporal === null) throw new Error('the Temporal server is not there yet: run `npm run setup` first');
  const askSelf = ['-c', 'import sys; print(sys.executable)'];
  const python3 = execFileSync('python3', askSelf, { encoding: 'utf8' }).trim();
  const small = join(here, '..', 'small_python.py');
  const python = execFileSync(python3, [small, join(root, 'python')], { encoding: 'utf8' }).trim();
  const [git, server, bwrap] = ['git', temporal.path, 'bwrap'].map(which);
  return { python, python3, tools: toolCache(), git, temporal: server, bwrap };
}

/** The path of a program, null where there is none. */
function which(name) {
  const { status, stdout } = spawnSync('sh', ['-c', `command -v ${name}`], { encoding: 'utf8' });
  return status === 0 ? stdout.trim() : null;
}

async function undisturbed(installation) {
  await mustUp(installation);
  const study = new Study(installation, 'undisturbed');
  const { code, said } = await study.start(EXPERIMENTS);
  if (code !== 0) throw new Error(`start ended with ${code}: ${said}`);
  for (const end = performance.now() + STUCK_MS; study.recorded() < EXPERIMENTS; await sleep(300))
    if (performance.now() > end)
      throw new Error(`the undisturbed study does not end: ${(await study.ask('status')).said}`);
  const verified = await study.verify();
  if (verified.code !== 0) throw new Error(`the undisturbed study does not verify: ${verified.said}`);
  const outcome = outcomeOf(study);
  say({
    reference: outcome.map(({ number, verdict, score }) => [number, verdict, score]),
    seconds: elapsed(),
  });
  return outcome;
}

async function mustUp(installation) {
  const { code, said } = await installation.up();
  if (code !== 0) throw new Error(`up ended with ${code}: ${said}`);
}

/** Studies in one installation, one after the other, until its disturbances are all done. */
async function disturb({ installation, index, queue }, reference) {
  if (index === 0) await reference;
  else await coldStarts(() => mustUp(installation));
  const judged = [];
  for (let round = 1; queue.length > 0; round++) {
    const study = new Study(installation, `lab-${round}`);
    const where = { installation: index, round };
    const struck = new Map();
    try {
      await endure({ installation, study, struck, queue, where });
    } finally {
      await study.close();
    }
    const verdict = await judge({ installation, study, struck }, await reference, where);
    judged.push({ study, struck, where, verdict });
  }
  for (const { study, struck, where, verdict } of judged)
    countLate(verdict, verdictOn(study, struck, await reference), where);
}

function verdictOn(study, struck, reference) {
  return { ...compare(study, reference), ...secondsSpentTwice(study, struck) };
}

/** What has befallen a finished study while others came after it. */
function countLate(then, now, where) {
  const late = {
    lost: now.lost.filter((line) => !then.lost.includes(line)),
    double: now.double.filter((line) => !then.double.includes(line)),
    train: now.train - then.train,
    score: now.score - then.score,
  };
  total.lost += late.lost.length;
  total.double += late.double.length;
  total.trainSecondsSpentTwice += late.train;
  total.scoreSecondsSpentTwice += late.score;
  const isClean = late.lost.length + late.double.length + late.train + late.score === 0;
  if (!isClean) say({ seconds: elapsed(), ...where, since: 'its end', ...late });
}

/** One study, from its beginning to its end. */
async function endure({ installation, study, struck, queue, where }) {
  const progress = { count: 0, at: performance.now() };
  const isOver = () => {
    const count = study.recorded();
    if (count > progress.count) Object.assign(progress, { count, at: performance.now() });
    return count >= EXPERIMENTS;
  };
  const context = { installation, study, struck, isOver, experiments: EXPERIMENTS };
  const opening = take(queue, ({ point }) => POINTS[point].opening === true);
  if (opening === null) await begin(study);
  else await strike(context, { opening, queue, where });
  while (!isOver()) {
    await checkProgress(study, progress);
    const next = take(queue, ({ point }) => POINTS[point].opening !== true);
    if (next === null) await sleep(300);
    else {
      const awaySeconds = await strike(context, { next, queue, where });
      // What was taken away for long could not record anything.
      progress.at += 1_000 * awaySeconds;
    }
  }
}

function take(queue, isWanted) {
  const place = queue.findIndex(isWanted);
  return place === -1 ? null : queue.splice(place, 1)[0];
}

/** Strikes, or puts it back for later. @returns {Promise<number>} seconds that the blow itself took */
async function strike(context, { opening, next, queue, where }) {
  const planned = opening ?? next;
  const { installation, study } = context;
  if (planned.point === 'data being prepared')
    rmSync(join(installation.root, 'cache', 'autoresearch', 'data'), { recursive: true, force: true });
  const told = await strikeOnce(context, planned, opening && (() => begin(study)));
  const isMissed = told === null || (told.hit === 0 && DISTURBANCES[planned.name].kills === true);
  if (isMissed) queue.push(planned);
  // Whoever is to die there is never there at that moment.
  if (isMissed && planned.tries > TRIES) planned.point = 'at any instant';
  if (told === null) return 0;
  for (const fault of ['lostRequests', 'disagreements', 'double']) total[fault] += told[fault].length;
  total.troubles += told.problems.length;
  if (!isMissed) {
    total.disturbances += 1;
    total.kills += Number(DISTURBANCES[planned.name].kills === true);
    came.kinds.add(planned.name);
    if (told.reached !== false) came.points.add(planned.point);
  }
  say({ id: planned.id, seconds: elapsed(), ...where, ...told });
  return told.awaySeconds;
}

/** Starts the study; what died meanwhile is made good as a user would. */
async function begin(study) {
  const answers = [await study.start(EXPERIMENTS)];
  for (let tries = 0; answers.at(-1).code !== 0 && tries < 3; tries++) {
    await sleep(2_000);
    answers.push(await study.ask('resume'));
    if (answers.at(-1).code !== 0) answers.push(await study.start(EXPERIMENTS));
  }
  if (answers.at(-1).code !== 0) throw new Error(answers.map(({ said }) => said).join('\n'));
}

/** @throws Error if the study is stuck */
async function checkProgress(study, { count, at }) {
  const ms = performance.now() - at;
  if (ms < PATIENCE_MS) return;
  const { said } = await study.ask('status');
  if (ms < STUCK_MS && phaseOf(said) !== 'paused') return;
  // Asking takes seconds on a busy machine: it may have come to its end, or to its limit, meanwhile.
  if (study.recorded() > count) return;
  total.lost += 1;
  throw new Error(`no record after number ${count - 1} for ${Math.round(ms / 1000)} s: ${said}`);
}

/** @returns what was found of the study itself */
async function judge({ installation, study, struck }, reference, where) {
  installation.setClock(0);
  const problems = clearLocks(study, EXPERIMENTS).map((file) => `${file} was never cleared`);
  const leaked = await countLeaks(where, () => strays(installation.processes()));
  const verified = await study.verify();
  const verdict = verdictOn(study, struck, reference);
  const { double, train, score, repeated } = verdict;
  const lost = [...verdict.lost];
  if (verified.code !== 0) lost.push(`verify ended with ${verified.code}: ${verified.said}`);
  total.studies += 1;
  total.experiments += reference.length;
  total.lost += lost.length;
  total.double += double.length;
  total.troubles += problems.length;
  total.trainSecondsSpentTwice += train;
  total.scoreSecondsSpentTwice += score;
  say({
    seconds: elapsed(),
    ...where,
    finished: reference.length,
    lost,
    double,
    leaked,
    train,
    score,
    repeated,
    problems,
  });
  return verdict;
}

/** Ends what should not be there any more, and says so. */
async function countLeaks(where, look) {
  for (const end = performance.now() + LEAK_MS; performance.now() < end && look().length > 0;)
    await sleep(100);
  const leaked = look();
  total.leaked += leaked.length;
  if (leaked.length > 0) say({ where, leaked });
  signal(leaked, 'SIGKILL');
  return leaked.length;
}

await main();
