/**
 * What workflows may ask of the world. Every activity converges: run twice, half, or by two workers at once,
 * it ends in the same state. A candidate's failure is a return value; only our own trouble is thrown.
 * Only hashes, numbers and short texts pass here; prompts, diffs and logs stay in git and on disk.
 */
import type {
  ExperimentSummary,
  Failure,
  Repair,
  RunResult,
  ScoredRun,
  ScoreResult,
  Seal,
} from '../domain/experiment';
import type { Limits } from '../domain/limits';
import type { Decision, Incumbent } from '../domain/policies/policy';
import type { Caps, Lane, StudyRef, TrainInput } from '../domain/run';
import type { RunClass } from '../domain/run-class';
import type { StudyConfig, StudyState } from '../domain/study';
import type { LastTaken, Waiting } from '../domain/waiting';

export interface OpenedStudy {
  /** Rebuilt from the ledger: empty for a fresh study. */
  state: StudyState;
  /** Null without a record. */
  last: LastTaken | null;
  lane: Lane;
  class: RunClass;
  seal: Seal;
  caps: Caps;
}

export interface ProposeInput {
  study: StudyConfig;
  number: number;
  /** The commit to build on: the incumbent's, or the base. */
  incumbent: string;
  /** What people have said for this experiment and the backlog. */
  waiting: Waiting;
  /** What is left of each limit before this experiment; null where there is none. */
  left: Limits;
  /** The candidate that crashed, when the question is how to repair it; null for a new change. */
  repair: RepairInput | null;
}

export interface RepairInput {
  /** 1 is the first. */
  attempt: number;
  /** The candidate that crashed, and how. */
  commit: string;
  failure: Failure;
}

export interface Proposed {
  /** Object id of the proposal's blob, held by refs/autoresearch/<tag>/proposal/<n>. */
  proposal: string;
  /** At most 120 characters, one line. */
  title: string;
  /** For all that was asked for this experiment so far. */
  dollars: number;
  /** What it has taken in; what people say while it works is for the next one. */
  taken: Waiting;
  /** Nothing was proposed, and why; null otherwise. */
  gaveUp: string | null;
}

export interface ApplyInput {
  study: StudyRef;
  number: number;
  incumbent: string;
  /** null for the baseline: nothing is changed. */
  proposal: string | null;
  /** The candidate that crashed and that this one repairs: its edits are to those files. Null for a new change. */
  repair: RepairInput | null;
  /** ISO 8601; the commit's date, so that a retry gives the same hash. A repair has the date of what it repairs. */
  at: string;
}

export interface Applied {
  /** Held by refs/autoresearch/<tag>/exp/<n>, whatever becomes of it. */
  commit: string;
  /** Set when the edits break the lab's rules or do not apply: the commit is then empty. */
  failure: Failure | null;
}

export type EvaluateInput = TrainInput;

export interface RecordInput {
  study: StudyConfig;
  number: number;
  commit: string;
  /** The incumbent that the candidate was tried against, as a hash, and its score. */
  incumbent: Incumbent | null;
  /** The change, and its repairs after it; empty for the baseline. */
  proposals: string[];
  /** What people said that this experiment takes in. */
  taken: Waiting;
  decision: Decision;
  failure: Failure | null;
  runs: ScoredRun[];
  repairs: Repair[];
  startedAt: string;
  finishedAt: string;
  dollars: number;
  class: RunClass;
  seal: Seal;
  /** The study's limits now, so that `resume` finds them again. */
  limits: Limits;
}

export interface Recorded {
  /** The record that counts: one of the same number that was there before wins. */
  summary: ExperimentSummary;
  /** What that record took in of what people said. */
  taken: Waiting;
  /** Commit of the ledger branch that holds this record. */
  ledger: string;
  /** Where the study's branch stands now. */
  branch: string;
}

export interface SaveInput {
  study: StudyConfig;
  limits: Limits;
  waiting: Waiting;
}

export interface EndWorkInput {
  study: StudyRef;
  /** Null for what the opening of the study has begun. */
  experiment: number | null;
}

/** Served on the control queue. */
export interface ControlActivities {
  /** Makes base ref, branch and ledger, prepares the data, or finds them, and rebuilds the study's state. */
  openStudy(study: StudyConfig): Promise<OpenedStudy>;
  propose(input: ProposeInput): Promise<Proposed>;
  apply(input: ApplyInput): Promise<Applied>;
  /** Writes verdict and row to the ledger, then moves the branch (keep) or leaves it (reset), then cleans up. */
  record(input: RecordInput): Promise<Recorded>;
  /** Keeps a stopped study's limits, and what people said that no proposal has heard, in its ledger. */
  save(input: SaveInput): Promise<void>;
  /** Ends whatever a cancelled experiment, or a cancelled opening, has left at work on this host; it begins nothing any more. */
  endWork(input: EndWorkInput): Promise<void>;
}

/** Served on a lane's own queue, one at a time. */
export interface DeviceActivities {
  train(input: TrainInput): Promise<RunResult>;
  evaluate(input: EvaluateInput): Promise<ScoreResult>;
}
