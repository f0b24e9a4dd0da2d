/** One run of a candidate: whose it is, where it runs, within which bounds, and how far it is. */
import type { TrainBudget } from './budget';
import type { Split } from './policies/policy';
import type { RunClass } from './run-class';
import type { StudyConfig } from './study';

/** Names a study and where it lives; all that most activities need to know of it. */
export type StudyRef = Pick<StudyConfig, 'tag' | 'workflowId' | 'lab' | 'labId' | 'base'>;

/** One GPU (or the CPU) of a worker, with the task queue that leads to it. */
export interface Lane {
  /** `gpu-<host>-<index>` or `cpu-<host>`. */
  queue: string;
  /** `cuda:0` or `cpu`. */
  device: string;
}

/** lab.yaml's caps on the parts of a run, in seconds: what the backstop timeouts are made of. */
export interface Caps {
  startup: number;
  submission: number;
  score: number;
}

/** What one training and its scoring are of. */
export interface TrainInput {
  study: StudyRef;
  number: number;
  /** 1 is the first of its experiment. */
  run: number;
  commit: string;
  seed: number;
  split: Split;
  budget: TrainBudget;
  device: string;
  /** What its score has to be comparable with. */
  class: RunClass;
}

/** What `train` and `evaluate` say in each heartbeat; `status` shows it. */
export interface Progress {
  phase: string;
  step: number;
  loss: number | null;
  tokens: number;
  /** Seconds of the budget that are left; null where the budget is steps. */
  secondsLeft: number | null;
}
