/**
 * Which researcher of several is asked next: probability matching on what each has brought for its cost, with a least
 * share for each (Thierens 2005, "An adaptive pursuit strategy for allocating operator probabilities", GECCO; old rewards
 * fade as in Garivier & Moulines 2008, "On upper-confidence bound policies for non-stationary bandit problems").
 * Everything comes from the records, so that a restart or another host goes on with the same shares.
 */
import { gpuSeconds, type Direction, type ExperimentRecord } from './experiment';
import { gpuCost } from './money';
import { runSeed } from './seed';

/** An arm that brings nothing is still tried this often: what pays changes while a study grows. */
const LEAST_SHARE = 0.1;
/** Weight of an experiment against the one after it: half after about 23. */
const FADE = 0.97;
/** An arm is taken to have brought what all arms bring, for so many experiments: one lucky keep decides nothing. */
const PRIOR = 2;
/** How much a better rate is preferred: 1 would give an arm that pays twice as much no more than two thirds. */
const SHARPNESS = 3;
/** What an hour of the device counts where the study has no price for it, in US dollars: a rented GPU's, about. */
const NOMINAL_HOUR = 2;

type Paid = Pick<
  ExperimentRecord,
  'number' | 'researcher' | 'verdict' | 'score' | 'incumbentScore' | 'runs' | 'dollars' | 'gpuDollars'
>;

export interface Arm {
  name: string;
  /** It asks a model that costs money. */
  costsDollars: boolean;
}

interface Tally {
  /** Faded sums over the arm's experiments: how many, relative gain that was kept, US dollars with the device's time. */
  tries: number;
  gain: number;
  cost: number;
}

/** Which part of the experiments each arm gets now, in the arms' order; the sum is 1. An arm that was never tried gets all. */
export function shares(arms: readonly Arm[], records: readonly Paid[], direction: Direction): number[] {
  const untried = arms.findIndex(({ name }) => records.every(({ researcher }) => researcher !== name));
  if (untried >= 0) return arms.map((_, index) => Number(index === untried));
  const tallies = arms.map((arm) => tally(arm, records, direction));
  const rates = ratesOf(tallies).map((rate) => rate ** SHARPNESS);
  const sum = rates.reduce((total, rate) => total + rate, 0);
  const free = 1 - arms.length * LEAST_SHARE;
  return rates.map((rate) => LEAST_SHARE + free * (sum > 0 ? rate / sum : 1 / arms.length));
}

/** The arms in the order in which they are asked for experiment `number`: the one it goes to, then the others. */
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
    // Whoever answered in the end, if anybody did: the money went to the arm that costs some.
    if (arm.costsDollars) sums.cost += weight * record.dollars;
  }
  return sums;
}

/** Gain for each dollar; few experiments say little, so each arm's is drawn towards that of all. */
function ratesOf(tallies: readonly Tally[]): number[] {
  const gain = tallies.reduce((sum, each) => sum + each.gain, 0);
  const cost = tallies.reduce((sum, each) => sum + each.cost, 0);
  const common = cost > 0 ? gain / cost : 0;
  return tallies.map((each) => {
    const own = each.cost > 0 ? each.gain / each.cost : common;
    return (each.tries * own + PRIOR * common) / (each.tries + PRIOR);
  });
}

/** How much better the kept candidate was, as a share of the score that it beat. */
function keptGain({ verdict, score, incumbentScore }: Paid, direction: Direction): number {
  if (verdict !== 'keep' || score === null || incumbentScore === null || incumbentScore === 0) return 0;
  const gain = direction === 'minimize' ? incumbentScore - score : score - incumbentScore;
  return Math.max(0, gain / Math.abs(incumbentScore));
}

function deviceCost({ runs, gpuDollars }: Paid): number {
  return gpuDollars > 0 ? gpuDollars : gpuCost(gpuSeconds(runs), NOMINAL_HOUR);
}
