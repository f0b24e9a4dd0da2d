/** Somebody steers a study, and the one who was to act on it dies just then. In the end the study is to go on. */
import { setTimeout as sleep } from 'node:timers/promises';
import { signal } from '../processes.mjs';
import { between } from '../random.mjs';
import { attemptsOf, stopsOf } from '../runs.mjs';
import { phaseOf } from '../study.mjs';

/** A command needs about a second until its request is on its way. */
const ON_ITS_WAY_MS = 1_500;
const GOES_ON_MS = 120_000;

/** @param {string[]} words of the command @param {string} role who dies */
export function requestAnd(words, role) {
  return async ({ installation, study, random, experiments }) => {
    const before = new Map(attemptsOf(study).map((attempt) => [attempt, stopsOf(attempt)]));
    const asked = study.ask(...words);
    await sleep(between(0, ON_ITS_WAY_MS)(random));
    const victims = installation.only(role);
    signal(victims, 'SIGKILL');
    const afterwards = async () => {
      await asked;
      await goOn(study, experiments);
      // By now it may have been begun again: what it says of itself is not what became of it.
      return attemptsOf(study).flatMap((attempt) =>
        Array(Math.max(0, stopsOf(attempt) - (before.get(attempt) ?? 0))).fill(attempt),
      );
    };
    return { hit: victims.length, struck: [], afterwards };
  };
}

/** Until the study works again, or has come to its end. */
async function goOn(study, experiments) {
  let said = '';
  for (const end = performance.now() + GOES_ON_MS; performance.now() < end; await sleep(500)) {
    if (study.recorded() >= experiments) return;
    ({ said } = await study.ask('status'));
    const phase = phaseOf(said);
    if (phase === 'running') return;
    if (phase !== 'stopping') await study.ask('resume');
  }
  throw new Error(`the study does not go on: ${said}`);
}
