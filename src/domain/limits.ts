/** What a study may spend, and whether the next experiment still fits. A study without limits never stops. */
import type { TrainBudget } from './budget';
import type { ExperimentSummary } from './experiment';
import { addAssumed, gpuCost, type Assumed } from './money';

export interface Limits {
  /** Experiments in all, the baseline (number 0) counted. */
  experiments: number | null;
  /** Hours for which runs and scorings hold a GPU (or, without one, the CPU). */
  gpuHours: number | null;
  /** Wall-clock hours in experiments: pauses do not count, a machine that is down in the middle of one does. */
  hours: number | null;
  /** US dollars for proposals, and for GPU hours where they have a price. */
  dollars: number | null;
}

export const UNLIMITED: Limits = { experiments: null, gpuHours: null, hours: null, dollars: null };

export interface Spent {
  experiments: number;
  gpuSeconds: number;
  seconds: number;
  dollars: number;
  /** Calls whose cost could not be read; `dollars` includes what they were counted at. */
  assumed: Assumed | null;
}

export const NOTHING_SPENT: Spent = { experiments: 0, gpuSeconds: 0, seconds: 0, dollars: 0, assumed: null };

export function spend(spent: Spent, experiment: ExperimentSummary): Spent {
  return {
    experiments: spent.experiments + 1,
    gpuSeconds: spent.gpuSeconds + experiment.gpuSeconds,
    seconds: spent.seconds + experiment.seconds,
    dollars: spent.dollars + experiment.dollars,
    assumed: addAssumed(spent.assumed, experiment.assumed),
  };
}

/** GPU seconds that a training takes at least; 0 where its budget is steps. */
const trainingSeconds = (budget: TrainBudget): number => ('seconds' in budget ? budget.seconds : 0);

/**
 * GPU seconds to set aside for the next experiment: as many as the longest of `recent` took, with start-up, scoring and
 * repairs. Only one that takes longer than all of those can spend more than a limit.
 */
export function secondsAside(budget: TrainBudget, recent: readonly ExperimentSummary[]): number {
  return Math.max(trainingSeconds(budget), ...recent.map(({ gpuSeconds }) => gpuSeconds));
}

/**
 * The limit that forbids another experiment, in words for `status`; null when there is none. GPU hours and their price are
 * reserved; money for proposals is reserved where it is spent, before each call.
 * @param aside GPU seconds for the next experiment
 */
export function limitReached(
  limits: Limits,
  spent: Spent,
  aside: number,
  gpuHourDollars: number,
): string | null {
  if (limits.experiments !== null && spent.experiments >= limits.experiments) {
    return `experiments limit: ${spent.experiments} of ${limits.experiments} done`;
  }
  if (limits.gpuHours !== null && spent.gpuSeconds + aside > limits.gpuHours * 3600) {
    const need = aside > 0 ? `, ${hoursText(aside)} are set aside for the next experiment` : '';
    return `GPU-hours limit: ${hoursText(spent.gpuSeconds)} of ${limits.gpuHours} spent${need}`;
  }
  if (limits.hours !== null && spent.seconds >= limits.hours * 3600) {
    return `hours limit: ${hoursText(spent.seconds)} of ${limits.hours} spent`;
  }
  const run = gpuCost(aside, gpuHourDollars);
  if (limits.dollars !== null && spent.dollars + run >= limits.dollars) {
    const need = run > 0 ? `, ${dollarText(run)} are set aside for the GPU time of the next experiment` : '';
    return `dollars limit: ${dollarText(spent.dollars)} of ${dollarText(limits.dollars)} spent${need}`;
  }
  return null;
}

/**
 * What may be spent on proposing the next experiment, in US dollars: its GPU seconds are set `aside`. Null without a limit.
 */
export function dollarsLeft(
  limits: Limits,
  spent: Spent,
  aside: number,
  gpuHourDollars: number,
): number | null {
  if (limits.dollars === null) return null;
  return Math.max(0, limits.dollars - spent.dollars - gpuCost(aside, gpuHourDollars));
}

/** `$1.25`, or more digits where cents would say nothing. */
export function dollarText(dollars: number): string {
  return `$${dollars !== 0 && Math.abs(dollars) < 0.1 ? dollars.toPrecision(2) : dollars.toFixed(2)}`;
}

/** Hours with three digits, as people read them. */
export function hoursText(seconds: number): string {
  return String(Number((seconds / 3600).toPrecision(3)));
}
