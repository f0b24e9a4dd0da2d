/** Which disturbance comes where and when: the same for the same seed, whatever the machine's speed. */
import { DISTURBANCES } from './disturbances.mjs';
import { POINTS } from './points.mjs';
import { generator, shuffled } from './random.mjs';

/** So much oftener than the others, for they have the most points to come to. */
const WEIGHTS = { 'worker killed': 8, 'worker ended': 2, 'server killed': 4, 'everything killed': 4 };

/**
 * Deals disturbances until so many of them kill. Each kind comes in turn, the first time once, and takes the next of its own
 * points, first those to which no kind has come: so that neither is left out for long.
 * @param {object} wish
 * @param {number} wish.kills
 * @param {number} wish.seed
 * @param {string[] | null} wish.only names of kinds, or `kind@point`; null for all
 * @param {boolean} wish.isLong whether what takes minutes is wanted as well
 * @param {import('./installation.mjs').Installation[]} installations
 * @returns {{ queues: object[][], leftOut: string[], counts: 'kills' | 'disturbances' }} what each installation gets, what
 *   none of them can be given, and what was counted: where no kind kills, disturbances
 */
export function deal({ kills: wanted, seed, only, isLong }, installations) {
  const random = generator(seed);
  const named = kindsOf(only, isLong);
  const isFor = ({ name }) => installations.map((each) => (DISTURBANCES[name].where ?? (() => true))(each));
  const kinds = named.filter((kind) => isFor(kind).includes(true));
  const leftOut = named.filter((kind) => !kinds.includes(kind)).map(({ name }) => name);
  const counts = kinds.some(kills) ? 'kills' : 'disturbances';
  const nextPoint = pointDealer(random);
  const queues = installations.map(() => []);
  let turn = 0;
  for (let dealt = 0, rounds = 0; dealt < wanted; rounds++) {
    const times = ({ name }) => (rounds === 0 ? 1 : (WEIGHTS[name] ?? 1));
    const round = kinds.flatMap((kind) => Array.from({ length: times(kind) }, () => kind));
    for (const kind of shuffled(round, random)) {
      if (dealt >= wanted) break;
      dealt += Number(counts === 'disturbances' || kills(kind));
      const able = isFor(kind);
      while (!able[turn % queues.length]) turn += 1;
      const id = queues.reduce((sum, queue) => sum + queue.length, 0);
      const point = nextPoint(kind);
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
  return { queues, leftOut, counts };
}

const kills = ({ name }) => DISTURBANCES[name].kills === true;

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

/** Gives each kind one of its points after the other, shuffled; one that has not been dealt yet comes first. */
function pointDealer(random) {
  const left = new Map();
  const dealt = new Set();
  return (kind) => {
    if ((left.get(kind) ?? []).length === 0) left.set(kind, shuffled(kind.points, random));
    const points = left.get(kind);
    const isNew = points.findIndex((point) => !dealt.has(point));
    const [point] = points.splice(Math.max(0, isNew), 1);
    dealt.add(point);
    return point;
  };
}
