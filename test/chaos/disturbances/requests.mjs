/** Somebody steers a study, and the one who was to act on it dies just then. In the end the study is to go on. */
import { setTimeout as sleep } from 'node:timers/promises';
import { signal } from '../processes.mjs';
import { between } from '../random.mjs';
import { attemptsOf, liveTasks, stopsOf } from '../runs.mjs';
import { phaseOf } from '../study.mjs';

/** A command needs about a second until its request is on its way. */
const ON_ITS_WAY_MS = 1_500;
const ANSWERED_MS = 5_000;
const GOES_ON_MS = 120_000;
/** Phases of a study that has heard. */
const HALTED = ['pausing', 'paused', 'stopping', 'stopped'];

/** @param {string[]} words of the command @param {string} role who dies */
export function requestAnd(words, role) {
  // Nothing else may end a run.
  const mayEndRuns = words.includes('--now');
  return async ({ installation, study, random, experiments }) => {
    const before = new Map(attemptsOf(study).map((attempt) => [attempt, stopsOf(attempt)]));
    const tasks = liveTasks(installation);
    const asked = study.ask(...words);
    // Before it is answered, or right after; where git is held, the answer may wait for it.
    const ms = random() < 0.5 ? ANSWERED_MS : between(0, ON_ITS_WAY_MS)(random);
    await Promise.race([asked, sleep(ms)]);
    const victims = installation.only(role);
    signal(victims, 'SIGKILL');
    const afterwards = async () => {
      const isPromised = (await asked).code === 0;
      await goOn(study, experiments, isPromised);
      if (!mayEndRuns) return [];
      // By now it may have been begun again: what it says of itself is not what became of it. One that was too slow to end
      // by itself says nothing.
      return attemptsOf(study).flatMap((attempt) => {
        const stops = stopsOf(attempt) - (before.get(attempt) ?? 0);
        return Array(Math.max(stops, Number(isPromised && tasks.includes(attempt)))).fill(attempt);
      });
    };
    return { hit: victims.length, struck: [], afterwards };
  };
}

/**
 * Until the study works again, or has come to its end.
 * @param {boolean} isPromised what was asked for was answered: nobody may lose it any more
 */
async function goOn(study, experiments, isPromised) {
  let said = '';
  let isKept = !isPromised;
  // The running experiment may come to its end, and nothing after it.
  const most = study.recorded() + 1;
  for (const end = performance.now() + GOES_ON_MS; performance.now() < end; await sleep(500)) {
    if (!isKept && study.recorded() > most) break;
    if (study.recorded() >= experiments) return;
    ({ said } = await study.ask('status'));
    const phase = phaseOf(said);
    isKept ||= HALTED.includes(phase);
    if (!isKept) continue;
    if (phase === 'running') return;
    if (phase !== 'stopping') await study.ask('resume');
  }
  throw new Error(isKept ? `the study does not go on: ${said}` : `a promise was not kept: ${said}`);
}
