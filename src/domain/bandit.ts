/**
 * Picks the researcher for the next experiment: probability matching on each one's gain per dollar, with a least share for
 * each (Thierens 2005, "An adaptive pursuit strategy for allocating operator probabilities", GECCO). Old rewards fade as in
 * Garivier & Moulines 2008, "On upper-confidence bound policies for non-stationary bandit problems". The shares are computed
 * from the records alone, so they are the same after a restart or on another host.
 */
import { gpuSeconds, type Direction, type ExperimentRecord } from './experiment';
import { gpuCost } from './money';
import { runSeed } from './seed';

/** The least share of an arm without gains: what pays changes during a study. */
const LEAST_SHARE = 0.1;
/** Weight of an experiment relative to the next one: half after about 23. */
const FADE = 0.97;
/** Prior of each arm: so many experiments at the common rate, so that one lucky keep does not decide. */
const PRIOR = 2;
/** Exponent of the rates. With 1, an arm that pays twice as much would get only two thirds. */
const SHARPNESS = 3;
/** US dollars for an hour of the device when the study has no price for it: about that of a rented GPU. */
const NOMINAL_HOUR = 2;

type Paid = Pick<
  ExperimentRecord,
  'number' | 'researcher' | 'verdict' | 'score' | 'incumbentScore' | 'runs' | 'dollars' | 'gpuDollars'
>;

export interface Arm {
  name: string;
  /** True if it calls a model that costs money. */
  costsDollars: boolean;
}

interface Tally {
  /** Faded sums over the arm's experiments: their number, kept relative gain, and US dollars including device time. */
  tries: number;
  gain: number;
  cost: number;
}

/** Each arm's share of the experiments, in the arms' order; the sum is 1. An arm that was never tried gets all. */
export function shares(arms: readonly Arm[], records: readonly Paid[], direction: Direction): number[] {
  const untried = arms.findIndex(({ name }) => records.every(({ researcher }) => researcher !== name));
  if (untried >= 0) return arms.map((_, index) => Number(index === untried));
  const tallies = arms.map((arm) => tally(arm, records, direction));
  const rates = ratesOf(tallies).map((rate) => rate ** SHARPNESS);
  const sum = rates.reduce((total, rate) => total + rate, 0);
  const free = 1 - arms.length * LEAST_SHARE;
  return rates.map((rate) => LEAST_SHARE + free * (sum > 0 ? rate / sum : 1 / arms.length));
}

/** The arms in the order in which to ask them for experiment `number`: the drawn one, then the others. */
export function askingOrder<T extends Arm>(
  arms: readonly T[],
  records: readonly Paid[],
  direction: Direction,
  { tag, number }: { tag: string; number: number },
): T[] {
  let drawn = runSeed(tag, number, 0) / 2 ** 31;
  const chosen = shares(arms, records, direction).findIndex((share) => (drawn -= share) < 0);
  const first = arms[chosen] ?? arms.at(-1);
  return first === undefined ? [] : [first, ...arms.filter((arm) => arm !== first)];
}

function tally(arm: Arm, records: readonly Paid[], direction: Direction): Tally {
  const sums: Tally = { tries: 0, gain: 0, cost: 0 };
  const last = records.at(-1)?.number ?? 0;
  for (const record of records) {
    const weight = FADE ** (last - record.number);
    if (record.researcher === arm.name) {
      sums.tries += weight;
      sums.gain += weight * keptGain(record, direction);
      sums.cost += weight * deviceCost(record);
    }
    // Whichever arm answered, only this arm can have cost dollars.
    if (arm.costsDollars) sums.cost += weight * record.dollars;
  }
  return sums;
}

/** Gain per dollar; an arm with few experiments is drawn towards the common rate. */
function ratesOf(tallies: readonly Tally[]): number[] {
  const gain = tallies.reduce((sum, each) => sum + each.gain, 0);
  const cost = tallies.reduce((sum, each) => sum + each.cost, 0);
  const common = cost > 0 ? gain / cost : 0;
  return tallies.map((each) => {
    const own = each.cost > 0 ? each.gain / each.cost : common;
    return (each.tries * own + PRIOR * common) / (each.tries + PRIOR);
  });
}

/** The gain of a kept candidate as a fraction of the score that it beat; 0 for others. */
function keptGain({ verdict, score, incumbentScore }: Paid, direction: Direction): number {
  if (verdict !== 'keep' || score === null || incumbentScore === null || incumbentScore === 0) return 0;
  const gain = direction === 'minimize' ? incumbentScore - score : score - incumbentScore;
  return Math.max(0, gain / Math.abs(incumbentScore));
}

function deviceCost({ runs, gpuDollars }: Paid): number {
  return gpuDollars > 0 ? gpuDollars : gpuCost(gpuSeconds(runs), NOMINAL_HOUR);
}
