/** A study is paused, its worker dies, and the first thing that the next worker gets for it is a request. */
import { setTimeout as sleep } from 'node:timers/promises';
import { signal } from '../processes.mjs';
import { pick } from '../random.mjs';
import { attemptsOf, liveTasks, stopsOf } from '../runs.mjs';
import { phaseOf } from '../study.mjs';

const PAUSED_MS = 60_000;
const OBEYED_MS = 60_000;
const GOES_ON_MS = 120_000;

/** What makes it pause: false where that was not to be had. */
const CAUSES = {
  user: async (study) => (await study.ask('pause')).code === 0,
  limit: async (study) =>
    (await study.ask('budget', '--experiments', String(study.recorded() || 1))).code === 0,
  terminated: (study) => study.endChild('terminate'),
  cancelled: (study) => study.endChild('cancel'),
};

/** `isDone`: the study has done what was asked, `said` being its status. */
const REQUESTS = {
  stop: { args: [{}], isDone: (said) => said.phase === 'stopped' },
  pause: { args: [], isDone: (said) => said.reason === 'paused by request' },
  // Against a limit that still holds it pauses again, with the same words.
  resume: { args: [], isDone: ({ phase, reason }) => phase !== 'paused' || /limit/u.test(reason) },
  adjustBudget: { args: [{ gpuHours: 1_000 }], isDone: ({ limits }) => limits.gpuHours === 1_000 },
  hint: {
    args: ['a hint'],
    isDone: ({ waiting }) => waiting.hints.filter((text) => text === 'a hint').length === 1,
  },
  idea: {
    args: ['an idea'],
    isDone: ({ waiting }) => waiting.ideas.filter((text) => text === 'an idea').length === 1,
  },
};
const WAYS = ['signal', 'executeUpdate'];

/** A request that was acknowledged and not obeyed. */
export class LostRequest extends Error {
  name = 'LostRequest';
}

/** @param {keyof typeof CAUSES} cause */
export function requestAfterRestart(cause) {
  return async ({ installation, study, random, experiments }) => {
    const before = new Map(attemptsOf(study).map((attempt) => [attempt, stopsOf(attempt)]));
    const tasks = liveTasks(installation);
    const [name, way] = [pick(Object.keys(REQUESTS), random), pick(WAYS, random)];
    if (!(await CAUSES[cause](study))) return { hit: 0, struck: [] };
    const isPaused = await comes(study, PAUSED_MS, ({ phase }) => phase === 'paused');
    const victims = installation.only('worker');
    signal(victims, 'SIGKILL');
    const afterwards = async () => {
      try {
        if (isPaused) await mustObey(study, name, way);
      } finally {
        await goOn(study, experiments);
      }
      if (cause === 'user' || cause === 'limit') return [];
      // By now it may have been begun again: what it says of itself is not what became of it.
      return attemptsOf(study).flatMap((attempt) => {
        const stops = stopsOf(attempt) - (before.get(attempt) ?? 0);
        return Array(Math.max(stops, Number(tasks.includes(attempt)))).fill(attempt);
      });
    };
    return { hit: isPaused ? victims.length : 0, struck: [], request: `${way} ${name}`, afterwards };
  };
}

async function mustObey(study, name, way) {
  const { args, isDone } = REQUESTS[name];
  await study.send(way, name, args);
  if (await comes(study, OBEYED_MS, isDone)) return;
  const { said } = await study.ask('status');
  throw new LostRequest(`${way} ${name} was acknowledged and not obeyed: ${said}`);
}

/** Whether the study's status comes to satisfy within `ms`. */
async function comes(study, ms, isRight) {
  for (const end = performance.now() + ms; performance.now() < end; await sleep(300)) {
    const { code, said } = await study.ask('status');
    if (code === 0 && isRight(JSON.parse(said).study)) return true;
  }
  return false;
}

/** Until the study works again, or has come to its end. */
async function goOn(study, experiments) {
  let said = '';
  for (const end = performance.now() + GOES_ON_MS; performance.now() < end; await sleep(500)) {
    if (study.recorded() >= experiments) return;
    ({ said } = await study.ask('status'));
    const phase = phaseOf(said);
    if (phase === 'running') {
      await study.ask('budget', '--experiments', String(experiments));
      return;
    }
    if (phase !== 'stopping') await study.ask('resume', '--experiments', String(experiments));
  }
  throw new Error(`the study does not go on: ${said}`);
}
