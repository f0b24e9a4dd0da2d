/** One disturbance: waits for its point, strikes, brings everything up again, and looks at what has become of it. */
import { setTimeout as sleep } from 'node:timers/promises';
import { DISTURBANCES } from './disturbances.mjs';
import { LostRequest } from './disturbances/restarts.mjs';
import { watchFor } from './points.mjs';
import { signal } from './processes.mjs';
import { pick } from './random.mjs';
import { liveTasks, LongRun } from './runs.mjs';

/** A point may not come: the study may be at its end, or wait for a heartbeat that never comes. */
const POINT_MS = 25_000;
const ALIVE_MS = 4_000;
const AGREED_MS = 90_000;
const CROWD_MS = 700;
/** What a git call that is held at the point does: its writer is dead by then, or it has died with it. */
const GIT_FATES = ['goes on', 'goes on late', 'is killed'];
/** Of one run's attempts so many may be lost by our hand: a third one is its last. */
const STRIKES = 2;
/** So often a point may fail to come before the blow falls anyhow. */
const TRIES = 3;

/**
 * @param {object} where
 * @param {import('./installation.mjs').Installation} where.installation
 * @param {import('./study.mjs').Study} where.study
 * @param {Map<string, number>} where.struck attempts that were struck, and how often: runner or trainer died by our hand, or
 *   had no disk; more come to it
 * @param {() => boolean} where.isOver
 * @param {number} where.experiments of the study
 * @param {() => Promise<void>} [begin] begins the study, once its first points are watched for
 * @returns {Promise<object | null>} what was done and found; null when it is still to be done
 */
export async function strikeOnce({ installation, study, struck, isOver, experiments }, planned, begin) {
  const { name, point, random } = planned;
  const kind = DISTURBANCES[name];
  const arrival = watchFor(study, point, random);
  const begun = begin?.();
  begun?.catch(() => undefined);
  const { reached, held } = await arrival(POINT_MS, isOver);
  const release = () => held !== null && installation.trap.release(held);
  planned.tries += 1;
  const isIdle = kind.needs !== undefined && !(await comesToLife(installation, kind.needs));
  const isWornOut =
    kind.mayRepeat && liveTasks(installation).some((task) => strikesOf(struck, task) >= STRIKES);
  if (isOver() || isIdle || isWornOut || (!reached && planned.tries < TRIES)) {
    release();
    await begun;
    return null;
  }
  const experiment = study.recorded();
  const gitFate = pick(GIT_FATES, random);
  const problems = [];
  const lostRequests = [];
  const remember = (error) =>
    void (error instanceof LostRequest ? lostRequests : problems).push(String(error));
  const long = random() < (kind.outlasted ?? 0) ? new LongRun(installation) : null;
  let told = { hit: 0, struck: [] };
  const allStruck = [];
  const note = (tasks = []) => {
    allStruck.push(...tasks);
    for (const task of tasks) struck.set(task, (struck.get(task) ?? 0) + (kind.lasts ? Infinity : 1));
  };
  const struckAt = performance.now();
  let awaySeconds;
  let upSeconds;
  let died = false;
  try {
    told = await kind
      .strike({ installation, study, random, experiments, gitToo: gitFate === 'is killed' })
      .catch((error) => {
        remember(error);
        return told;
      });
    note(told.struck);
    if (gitFate === 'is killed') signal(installation.only('git'), 'SIGKILL');
    died = held !== null && !installation.only('git').some(({ pid }) => pid === held);
    if (gitFate !== 'goes on late') release();
    const began = performance.now();
    awaySeconds = rounded(began - struckAt);
    problems.push(...(await comeUp(installation)));
    upSeconds = rounded(performance.now() - began);
    release();
    await long?.untilTakenOver(study, kind.lastsMs);
    note(await told.afterwards?.().catch(remember));
  } finally {
    long?.end();
    release();
  }
  await begun?.catch(remember);
  const verified = await agreed(study);
  if (verified.code !== 0) problems.push(`verify ended with ${verified.code}: ${verified.said}`);
  const replayed = await study.ask('replay');
  return {
    experiment,
    disturbance: name,
    point,
    ...(!reached && { reached }),
    hit: told.hit,
    ...(told.request !== undefined && { request: told.request }),
    ...(allStruck.length > 0 && { struck: allStruck.map((task) => task.split('/runs/')[1]) }),
    ...(held !== null && { git: died ? 'is killed' : gitFate }),
    ...(long !== null && { outlasted: true }),
    awaySeconds,
    upSeconds,
    double: await crowds(installation),
    lostRequests,
    // Histories that today's code would not make.
    disagreements: replayed.code === 0 ? [] : [`replay ended with ${replayed.code}: ${replayed.said}`],
    problems,
  };
}

const rounded = (ms) => Math.round(ms / 100) / 10;

/** @returns {Promise<string[]>} what went wrong */
async function comeUp(installation) {
  let up = await installation.up();
  // One that was asked to end may still have answered.
  if (up.code === 0 && installation.only('server').length === 0) up = await installation.up();
  return up.code === 0 ? [] : [`up ended with ${up.code}: ${up.said}`];
}

/** A runner is not always there: between two runs there is none. */
async function comesToLife(installation, role) {
  for (const end = performance.now() + ALIVE_MS; installation.only(role).length === 0; await sleep(20))
    if (performance.now() > end) return false;
  return true;
}

const strikesOf = (struck, task) => {
  const run = task.replace(/\d+$/u, '');
  return [...struck.keys()].filter((each) => each.startsWith(run)).length;
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

/** More than one of what there may be one of, for longer than a moment. */
async function crowds(installation) {
  const first = installation.processes();
  await sleep(CROWD_MS);
  const pids = new Set(first.map(({ pid }) => pid));
  // A candidate for the device's lock waits as lock-and-exec.py, which is not a runner yet.
  const stayed = installation
    .processes()
    .filter(({ pid, command }) => pids.has(pid) && !command.includes('lock-and-exec.py'));
  return ['server', 'worker', 'runner', 'trainer']
    .map((role) => stayed.filter((each) => each.role === role))
    .filter((found) => found.length > 1)
    .map(
      (found) =>
        `${found.length} at once: ${found.map(({ pid, command }) => `${pid} ${command}`).join(', ')}`,
    );
}
