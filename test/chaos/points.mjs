/**
 * Named points of an experiment, seen from outside: git's refs and the runners' files change, and that is the moment.
 * Nothing in the product knows of them.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { TAG } from './installation.mjs';

const POLL_MS = 4;

const list = (folder) => {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
};
const read = (file) => {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
};

/** Names under a folder of the lab's git: one more of them is one more step done. */
const gitNames = (folder) => (study) =>
  list(join(study.lab, '.git', folder)).filter((name) => !name.endsWith('.lock'));
const gitFile = (file) => (study) => [read(join(study.lab, '.git', file))].filter((text) => text !== '');
const stateNames = (kind) => (study) => list(join(study.state(), kind));

/** The newest attempt of a kind: `0003/1/train-2`. */
function newest(study, kind) {
  const runs = join(study.state(), 'runs');
  const number = list(runs).toSorted().at(-1);
  if (number === undefined) return null;
  const attempts = list(join(runs, number, '1')).filter((name) => name.startsWith(`${kind}-`));
  const attempt = attempts.toSorted((a, b) => a.length - b.length || (a < b ? -1 : 1)).at(-1);
  return attempt === undefined ? null : join(number, '1', attempt);
}

const inPhase = (kind, phase) => (study) => {
  const attempt = newest(study, kind);
  if (attempt === null) return [];
  const status = read(join(study.state(), 'runs', attempt, 'status.json'));
  return status.includes(`"phase":"${phase}"`) || status.includes(`"phase": "${phase}"`) ? [attempt] : [];
};
const hasFile = (kind, file) => (study) => {
  const attempt = newest(study, kind);
  return attempt !== null && list(join(study.state(), 'runs', attempt)).includes(file) ? [attempt] : [];
};

/** Each gives what has reached it by now: it is reached when there is one more. */
export const POINTS = {
  'at any instant': null,
  'worktree made, researcher at work': stateNames('proposals'),
  'proposal in git, not yet answered': gitNames(`refs/autoresearch/${TAG}/proposal`),
  'commit in git, not yet answered': gitNames(`refs/autoresearch/${TAG}/exp`),
  'tree exported, no runner yet': hasFile('train', 'spec.json'),
  'runner takes over': inPhase('train', 'queued'),
  'candidate starts': inPhase('train', 'starting'),
  'candidate trains': inPhase('train', 'training'),
  'candidate hands in': inPhase('train', 'handing-in'),
  'trained, not yet answered': inPhase('train', 'done'),
  'scorer to be started': hasFile('score', 'spec.json'),
  'scorer at work': inPhase('score', 'scoring'),
  'scored, not yet recorded': inPhase('score', 'done'),
  'ledger written, branch not yet moved': gitFile(`refs/heads/autoresearch-ledger/${TAG}`),
  'branch moved, not yet answered': gitFile(`refs/heads/autoresearch/${TAG}`),
};

/**
 * Waits until the study comes to a point, but no longer than `ms`.
 * @param isOver asked now and then: no point is reached any more
 * @returns {Promise<boolean>} whether it was reached
 */
export async function reach(study, name, ms, isOver) {
  const look = POINTS[name];
  const before = new Set(look(study));
  const end = performance.now() + ms;
  for (let polls = 0; performance.now() < end; polls++) {
    if (look(study).some((each) => !before.has(each))) return true;
    if (polls % 100 === 0 && isOver()) return false;
    await sleep(POLL_MS);
  }
  return false;
}
