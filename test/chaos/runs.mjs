/** The attempts of a study's runs: which there are, which are alive, and how to make them outlast their worker. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { signal } from './processes.mjs';

const ATTEMPT = /^\d{4}\/\d+\/(train|score)-\d+$/u;
/** Where an attempt lies whose run was put aside because it was taken for another one's. */
const REPLACED = /^(\d{4}\/\d+)\.replaced-\d+(\/(?:train|score)-\d+)$/u;
const HOLD_MS = 60;
const LOOK_MS = 200;
/** From taking over to acting on what was found. */
const GRACE_MS = 1_500;

/** Every attempt's folder so far. */
export function attemptsOf(study) {
  const runs = join(study.state(), 'runs');
  if (!existsSync(runs)) return [];
  const paths = readdirSync(runs, { recursive: true }).filter((path) => ATTEMPT.test(path));
  return paths.map((path) => join(runs, path));
}

/**
 * How often the candidate or scorer of each attempt was begun: as its runners say, and as the sandboxes show, which know
 * also of what was cleared away since.
 * @returns {Map<string, number>} by the attempt's folder
 */
export function startsOf(study) {
  const runs = join(study.state(), 'runs');
  const told = new Map();
  for (const path of existsSync(runs) ? readdirSync(runs, { recursive: true }) : []) {
    const attempt = path.replace(REPLACED, '$1$2');
    if (!ATTEMPT.test(attempt)) continue;
    const folder = join(runs, attempt);
    told.set(folder, (told.get(folder) ?? 0) + linesIn(join(runs, path), /Z (starting|scoring)$/gmu));
  }
  const seen = new Map();
  for (const attempt of study.begun()) seen.set(attempt, (seen.get(attempt) ?? 0) + 1);
  const attempts = [...new Set([...told.keys(), ...seen.keys()])];
  return new Map(
    attempts.map((attempt) => [attempt, Math.max(told.get(attempt) ?? 0, seen.get(attempt) ?? 0)]),
  );
}

/** Whether an attempt has come to its end, with or without a failure of its candidate. */
export function isDone(attempt) {
  try {
    return JSON.parse(readFileSync(join(attempt, 'status.json'), 'utf8')).phase === 'done';
  } catch {
    return false;
  }
}

/** Whether what it has come to stands: one that says it was lost is begun again. */
export function isFinal(attempt) {
  try {
    const { phase, failure } = JSON.parse(readFileSync(join(attempt, 'status.json'), 'utf8'));
    return phase === 'done' && failure?.reason !== 'lost';
  } catch {
    return false;
  }
}

/** How often an attempt's runner has ended because somebody asked for it. */
export const stopsOf = (attempt) => linesIn(attempt, /Z stopped$/gmu);

/** Lines of its runner's log. */
function linesIn(attempt, pattern) {
  try {
    return (readFileSync(join(attempt, 'runner.log'), 'utf8').match(pattern) ?? []).length;
  } catch {
    return 0;
  }
}

/** Attempts whose runner is there, waiting for the device or at work. */
export function liveTasks(installation) {
  const tasks = installation.processes().flatMap(({ task }) => task ?? []);
  return [...new Set(tasks)];
}

/**
 * Trainings and scorings take a second here, and a dead worker is missed after ten. To be found alive by the next one
 * they are made to stand still, the runner is not: nothing tells it from a long run.
 */
export class LongRun {
  #installation;
  #timer;

  constructor(installation) {
    this.#installation = installation;
    const hold = () => {
      const trainers = installation.processes(HOLD_MS / 2).filter(({ role }) => role === 'trainer');
      signal(trainers, 'SIGSTOP');
    };
    hold();
    this.#timer = setInterval(hold, HOLD_MS);
  }

  /** Waits until the activity that watched it was begun again, but no longer than `ms`. */
  async untilTakenOver(study, ms) {
    const end = performance.now() + ms;
    const first = await study.look();
    while (performance.now() < end) {
      const now = await study.look();
      if (first !== null && now !== null && now.isStarted && now.attempts !== first.attempts) break;
      await sleep(LOOK_MS);
    }
    await sleep(GRACE_MS);
  }

  end() {
    clearInterval(this.#timer);
    signal(this.#installation.only('trainer'), 'SIGCONT');
  }
}
