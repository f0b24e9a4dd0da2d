/**
 * What happens next to a candidate: the runs that its policy asks for, each with number, commit and seed, or the decision.
 * The experiment workflow does what this says; `verify` holds recorded runs against it.
 */
import type { Direction } from '../experiment';
import { runSeed } from '../seed';
import type { Arm, Decision, EvidenceRun, Incumbent, Policy, RunRequest, Split } from './policy';

/** A candidate before its policy. */
export interface Trial {
  tag: string;
  /** Of its experiment. */
  number: number;
  direction: Direction;
  candidate: string;
  /** null for the baseline. */
  incumbent: Incumbent | null;
  /** Commit of experiment 0; null while that is under way. */
  baseline: string | null;
  /** Runs that candidates had which crashed in the same experiment: numbers and seeds go on after them. */
  runsBefore: number;
}

export interface PlannedRun {
  /** 1 is the first run of the experiment. */
  run: number;
  arm: Arm;
  commit: string;
  seed: number;
  split: Split;
}

export type Step = { decision: Decision } | { runs: PlannedRun[] };

/** @throws RangeError if the policy asks for what there is not */
export function nextStep(policy: Policy, trial: Trial, runs: readonly EvidenceRun[]): Step {
  const { direction, incumbent } = trial;
  const ruling = policy.rule({ direction, incumbent, runs });
  if ('decision' in ruling) return ruling;
  const planned: PlannedRun[] = [];
  for (const request of ruling.runs) {
    const done = trial.runsBefore + runs.length + planned.length;
    planned.push(...plan(trial, request, done));
  }
  if (planned.length === 0) throw new RangeError('a policy must decide or ask for at least one run');
  return { runs: planned };
}

/** The candidate has crashed: what else was asked for is left out, and the policy is asked again. */
export const endsRequest = ({ arm, failure }: Pick<EvidenceRun, 'arm' | 'failure'>): boolean =>
  arm === 'candidate' && failure !== null;

function plan(trial: Trial, { arms, order, seed, split }: RunRequest, done: number): PlannedRun[] {
  if (order === 'ABBA' && arms.length !== 2)
    throw new RangeError(`ABBA takes two arms, not ${arms.length}: ${arms.join(', ')}`);
  const inOrder = order === 'ABBA' ? [...arms, ...arms.toReversed()] : arms;
  const shared = seed === 'next' ? runSeed(trial.tag, trial.number, done + 1) : seed;
  return inOrder.map((arm, index) => ({
    run: done + index + 1,
    arm,
    commit: commitOf(trial, arm),
    seed: shared,
    split,
  }));
}

function commitOf({ number, candidate, incumbent, baseline }: Trial, arm: Arm): string {
  const commit = { candidate, incumbent: incumbent?.commit ?? null, baseline }[arm];
  if (commit === null) throw new RangeError(`experiment ${number} has no ${arm} to run`);
  return commit;
}
