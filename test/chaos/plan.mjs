/** Which disturbance comes where and when: the same for the same seed, whatever the machine's speed. */
import { DISTURBANCES } from './disturbances.mjs';
import { POINTS } from './points.mjs';
import { generator, shuffled } from './random.mjs';

/** So much oftener than the others, for they have the most points to come to. */
const WEIGHTS = { 'worker killed': 8, 'worker ended': 2, 'server killed': 4, 'everything killed': 4 };

/**
 * Deals disturbances until so many of them kill. Each kind comes in turn and takes the next of its own points, so that
 * neither is left out for long.
 * @param {object} wish
 * @param {number} wish.kills
 * @param {number} wish.seed
 * @param {string[] | null} wish.only names of kinds, or `kind@point`; null for all
 * @param {boolean} wish.isLong whether what takes minutes is wanted as well
 * @param {import('./installation.mjs').Installation[]} installations
 * @returns {{ queues: object[][], leftOut: string[] }} what each installation gets, and what none of them can be given
 */
export function deal({ kills, seed, only, isLong }, installations) {
  const random = generator(seed);
  const wanted = kindsOf(only, isLong);
  const isFor = ({ name }) => installations.map((each) => (DISTURBANCES[name].where ?? (() => true))(each));
  const kinds = wanted.filter((kind) => isFor(kind).includes(true));
  const leftOut = wanted.filter((kind) => !kinds.includes(kind)).map(({ name }) => name);
  const counts = kinds.some(({ name }) => DISTURBANCES[name].kills)
    ? ({ name }) => Number(DISTURBANCES[name].kills === true)
    : () => 1;
  const points = new Map(kinds.map((kind) => [kind, endless(kind.points, random)]));
  const queues = installations.map(() => []);
  let turn = 0;
  for (let dealt = 0; dealt < kills;) {
    const round = kinds.flatMap((kind) => Array.from({ length: WEIGHTS[kind.name] ?? 1 }, () => kind));
    for (const kind of shuffled(round, random)) {
      if (dealt >= kills) break;
      dealt += counts(kind);
      const able = isFor(kind);
      while (!able[turn % queues.length]) turn += 1;
      const id = queues.reduce((sum, queue) => sum + queue.length, 0);
      const point = points.get(kind).next().value;
      queues[turn % queues.length].push({
        id,
        name: kind.name,
        point,
        random: generator(seed, id + 1),
        tries: 0,
      });
      turn += 1;
    }
  }
  return { queues, leftOut };
}

function kindsOf(only, isLong) {
  if (only !== null)
    return only.map((wish) => {
      const [name, point] = wish.split('@');
      if (!Object.hasOwn(DISTURBANCES, name)) throw new Error(`no disturbance is called "${name}"`);
      if (point !== undefined && !Object.hasOwn(POINTS, point))
        throw new Error(`no point is called "${point}"`);
      return { name, points: point === undefined ? pointsOf(name) : [point] };
    });
  return Object.entries(DISTURBANCES)
    .filter(([, { slow, asked }]) => asked !== true && (isLong || slow !== true))
    .map(([name]) => ({ name, points: pointsOf(name) }));
}

const pointsOf = (name) => DISTURBANCES[name].points ?? Object.keys(POINTS);

function* endless(values, random) {
  for (;;) yield* shuffled(values, random);
}
