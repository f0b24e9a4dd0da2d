/**
 * Named points of a study's life, found from outside; nothing in the product knows of them. At a git write git itself is
 * held (git-trap.mjs), so that the blow falls exactly before or after it. The others are seen: a ref, a runner's file or
 * the server's answer changes, and that is the moment.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { TAG } from './study.mjs';

const POLL_MS = 4;
const SERVER_POLL_MS = 15;
const INSTANT_MS = 4_000;

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
const dataLogs = ({ installation }) =>
  list(join(installation.root, 'cache', 'autoresearch', 'data')).filter((name) => name.endsWith('.log'));

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

const updateRef = (ref) => `*update-ref*${ref} *`;
/** Every git write that a study makes. Objects are written for proposals, candidates and records alike. */
const GIT_WRITES = {
  'base ref': { pattern: updateRef(`refs/autoresearch/${TAG}/base`), opening: true },
  'ledger begun': { pattern: updateRef(`refs/heads/autoresearch-ledger/${TAG}`), opening: true },
  'branch begun': { pattern: updateRef(`refs/heads/autoresearch/${TAG}`), opening: true },
  'copy made': { pattern: '*pack-objects --quiet --revs*' },
  blob: { pattern: '*hash-object*' },
  index: { pattern: '*update-index*' },
  tree: { pattern: '*write-tree*' },
  commit: { pattern: '*commit-tree*' },
  'proposal ref': { pattern: updateRef(`refs/autoresearch/${TAG}/proposal/*`) },
  'candidate ref': { pattern: updateRef(`refs/autoresearch/${TAG}/exp/*`) },
  'record in the ledger': { pattern: updateRef(`refs/heads/autoresearch-ledger/${TAG}`) },
  'branch moved': { pattern: updateRef(`refs/heads/autoresearch/${TAG}`) },
};

/** Each `look` gives what has reached the point by now: it is reached when there is something new. */
const SEEN = {
  'data being prepared': { look: dataLogs, opening: true },
  'researcher at work': { look: stateNames('proposals') },
  'proposal stored, not yet answered': { look: gitNames(`refs/autoresearch/${TAG}/proposal`) },
  'candidate stored, not yet answered': { look: gitNames(`refs/autoresearch/${TAG}/exp`) },
  'tree exported, no runner yet': { look: hasFile('train', 'spec.json') },
  'runner takes over, no heartbeat yet': { look: inPhase('train', 'queued') },
  'candidate starts': { look: inPhase('train', 'starting') },
  'candidate trains': { look: inPhase('train', 'training') },
  'candidate submits': { look: inPhase('train', 'submitting') },
  'trained, not yet answered': { look: inPhase('train', 'done') },
  'scorer to be started': { look: hasFile('score', 'spec.json') },
  'scorer at work': { look: inPhase('score', 'scoring') },
  'scored, not yet recorded': { look: inPhase('score', 'done') },
  'recorded, branch not yet moved': { look: gitFile(`refs/heads/autoresearch-ledger/${TAG}`) },
  'branch moved, not yet answered': { look: gitFile(`refs/heads/autoresearch/${TAG}`) },
  'continued as new': { look: 'run' },
};

/** Points with a runner, or where there soon is one. */
export const RUNNING = [
  'at any instant',
  'runner takes over, no heartbeat yet',
  'candidate starts',
  'candidate trains',
  'candidate submits',
  'scorer to be started',
  'scorer at work',
];

/** `opening`: comes once, as the study begins. */
export const POINTS = {
  'at any instant': {},
  ...Object.fromEntries(
    Object.entries(GIT_WRITES).flatMap(([name, { pattern, opening }]) =>
      ['before', 'after'].map((when) => [`${when} git write: ${name}`, { when, pattern, opening }]),
    ),
  ),
  ...SEEN,
};

/**
 * Makes ready for a point. What is there by now does not count.
 * @returns {(ms: number, isOver: () => boolean) => Promise<{ reached: boolean, held: number | null }>} waits for it, but
 *   no longer than `ms`; `held` is the git process that waits there until it is let go
 */
export function watchFor(study, name, random) {
  const { look, when, pattern } = POINTS[name];
  if (when !== undefined) return trapped(study.installation.trap, when, pattern);
  if (look === 'run') return continued(study);
  if (look !== undefined) return seen(study, look);
  return async () => {
    await sleep(random() * INSTANT_MS);
    return { reached: true, held: null };
  };
}

function trapped(trap, when, pattern) {
  trap.arm(when, pattern);
  return async (ms, isOver) => {
    const isReached = await until(trap.hasCaught, ms, isOver);
    // One that was caught between the last look and now is let go by whoever gets this.
    return { reached: isReached, held: trap.disarm() };
  };
}

function seen(study, look) {
  const before = new Set(look(study));
  return async (ms, isOver) => {
    const isReached = await until(() => look(study).some((each) => !before.has(each)), ms, isOver);
    return { reached: isReached, held: null };
  };
}

function continued(study) {
  return async (ms, isOver) => {
    const first = (await study.look())?.run;
    for (
      const end = performance.now() + ms;
      performance.now() < end && !isOver();
      await sleep(SERVER_POLL_MS)
    ) {
      const run = (await study.look())?.run;
      if (first !== undefined && run !== undefined && run !== first) return { reached: true, held: null };
    }
    return { reached: false, held: null };
  };
}

async function until(isSo, ms, isOver) {
  const end = performance.now() + ms;
  for (let polls = 0; performance.now() < end; polls++) {
    if (isSo()) return true;
    if (polls % 100 === 0 && isOver()) return false;
    await sleep(POLL_MS);
  }
  return false;
}
