/**
 * A keep rule decides from evidence alone. It is a pure function, so a replayed workflow decides the same, and `verify` too.
 * It answers a decision or asks for runs; the experiment workflow does what it asks and comes back with the evidence.
 */
import type { Direction, ExperimentSummary, Failure, Reason, Verdict } from '../experiment';
import type { RunClass } from '../run-class';

/** Whose commit a run trains. */
export const ARMS = ['candidate', 'incumbent', 'baseline'] as const;
export type Arm = (typeof ARMS)[number];

/** What a run is scored on. No decision ever sees `holdout`: it is for claims. */
export const SPLITS = ['val', 'holdout'] as const;
export type Split = (typeof SPLITS)[number];

/** The best kept commit so far. */
export interface Incumbent {
  commit: string;
  experiment: number;
  /** null for a baseline that crashed: the first candidate with a score takes its place. */
  score: number | null;
  /** Its scores on `val`, oldest first. They grow when a later experiment runs the incumbent again. */
  scores: readonly number[];
}

/** One run as a policy sees it. */
export interface EvidenceRun {
  arm: Arm;
  /** Full hash. */
  commit: string;
  seed: number;
  split: Split;
  /** null with a failure. */
  score: number | null;
  failure: Failure | null;
  /** What must be equal for two scores to be comparable. */
  class: RunClass;
}

export interface Evidence {
  direction: Direction;
  /** null for the baseline, which has nothing to beat. */
  incumbent: Incumbent | null;
  /** This candidate's runs and those done for its sake, in their order; not those of a candidate that it repairs. */
  runs: readonly EvidenceRun[];
}

/** Runs that a policy asks for. All runs of one answer may go on at the same time. */
export interface RunRequest {
  /** One run each, all with the same seed. */
  arms: readonly Arm[];
  /** `single`: each arm once. `ABBA`: two arms as A B B A on one lane, for timings that drift. */
  order: 'single' | 'ABBA';
  /** `next`: a seed that no earlier request of this experiment had. The lab picks seeds, never a candidate. */
  seed: 'next' | number;
  split: Split;
}

export interface Decision {
  verdict: Verdict;
  reason: Reason;
  /** What stands for the candidate in tables, and for the incumbent if it becomes that; null with a crash. */
  score: number | null;
  /** One line for people. */
  detail: string;
}

export type Ruling = { decision: Decision } | { runs: readonly RunRequest[] };

/** A policy with its parameters filled in. */
export interface Policy {
  rule: (evidence: Evidence) => Ruling;
  /** The rule in words, for researchers and people: what they believe about it decides what they try. */
  words: string;
}

/** A candidate that never got a score is a crash, whatever the policy. */
export function crash(failure: Failure): Decision {
  return { verdict: 'crash', reason: failure.reason, score: null, detail: failure.message };
}

/** The incumbent after an experiment: its candidate, or the old one with the scores that were added to it. */
export function nextIncumbent(incumbent: Incumbent | null, done: ExperimentSummary): Incumbent | null {
  const { verdict, number, commit, score, scores, incumbentScores } = done;
  // The baseline is the first incumbent, crashed or not.
  if (verdict === 'keep' || number === 0) return { commit, experiment: number, score, scores };
  if (incumbent === null || incumbentScores.length === 0) return incumbent;
  return { ...incumbent, scores: [...incumbent.scores, ...incumbentScores] };
}
