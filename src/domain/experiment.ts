/**
 * The words of a study as types: what one experiment is, and what is kept of it for ever.
 * Everything here is plain JSON data, for it travels through Temporal and lies in the ledger.
 */
import type { TrainBudget } from './budget';
import type { Knob } from './lab';
import type { Assumed, Usage } from './money';
import type { PolicyChoice } from './policies/choice';
import type { RunClass } from './run-class';

/** Which way the metric is better. */
export const DIRECTIONS = ['minimize', 'maximize'] as const;
export type Direction = (typeof DIRECTIONS)[number];

/** The field's three words for how an experiment ended (karpathy/autoresearch, results.tsv). */
export const VERDICTS = ['keep', 'discard', 'crash'] as const;
export type Verdict = (typeof VERDICTS)[number];

/**
 * Why there is no score: the candidate failed (`error`, `timeout`, `oom`, `diverged`), broke a rule (`rejected`), could not be
 * scored (`unscorable`) or was killed from outside too often (`lost`); or the researcher had nothing to try (`no-proposal`).
 */
export const FAILURES = [
  'error',
  'timeout',
  'oom',
  'diverged',
  'rejected',
  'unscorable',
  'lost',
  'no-proposal',
] as const;

/** Why a verdict. `baseline`: number 0, or the first score if that crashed. `better`, `not-better`: the keep rule. Others are crashes. */
export const REASONS = ['baseline', 'better', 'not-better', ...FAILURES] as const;
export type Reason = (typeof REASONS)[number];

/** Why a candidate has no score, with the end of its traceback or the rule that it broke. */
export interface Failure {
  reason: (typeof FAILURES)[number];
  /** One line for tables: at most 200 characters. */
  message: string;
  /** The last lines of its output, at most 4,000 characters; quoted as data wherever it is shown. */
  tail: string;
}

/** A run is given up after so many attempts that were killed from outside. One that ended with its machine is not counted. */
export const MAX_ATTEMPTS = 3;

/**
 * How far a candidate is from its own score. `graph`: it submits data, which our scorer runs. `artifact`: a locked command judges
 * files that it left. `process`: a locked benchmark runs its code. `printed`: it prints the score itself.
 */
export const SEALS = ['graph', 'artifact', 'process', 'printed'] as const;
export type Seal = (typeof SEALS)[number];

/** How a run was contained. `none` is said in every record, never silently. */
export type Sandbox = 'bubblewrap' | 'none';

/** One training of one commit with one lab-chosen seed, as the runner saw it. */
export interface RunResult {
  seed: number;
  /** Trainings begun for this run: more than 1 when a runner was killed from outside. */
  attempts: number;
  failure: Failure | null;
  /** What was measured beside the score, by name: a model lab's `steps`, `tokens`, `peakMemoryMb`, … */
  metrics: Readonly<Record<string, number>>;
  /** Seconds from `start` to the last step, by the runner's monotonic clock. */
  trainSeconds: number;
  /** Seconds from launch to exit, the GPU held all the while. */
  wallSeconds: number;
  /** Seconds from launch to `start`: imports, building, compiling. */
  startupSeconds: number;
  /** Of these, seconds in which the GPU was at work; null where nobody can tell: without a GPU, or without nvidia-smi. */
  startupGpuSeconds: number | null;
  /** SHA-256 of the weights before the first step; null where nothing was drawn. It differs when the seed differs. */
  initialWeights: string | null;
  /** SHA-256 of the submitted weights. */
  weights: string | null;
  /** Another seed with which this commit or its parent had the same weights: the seed changes nothing. Null where none is known. */
  sameWeightsAsSeed: number | null;
  sandbox: Sandbox;
  device: string;
}

/** What the sealed scorer computed. */
export interface ScoreResult {
  failure: Failure | null;
  /** The metric's value, from the scorer's own arithmetic; null when `failure` is set. */
  score: number | null;
  /** What the scorer has counted beside it. */
  metrics: Readonly<Record<string, number>>;
  /** Seconds of scoring proper, and of the whole process. */
  scoreSeconds: number;
  wallSeconds: number;
}

/** One run with its score, which stands among its metrics too, as the ledger holds it. Arm, split and commit say what it is evidence of (policies/policy.ts). */
export interface ScoredRun extends RunResult {
  arm: 'candidate' | 'incumbent' | 'baseline';
  commit: string;
  split: 'val' | 'holdout';
  /** Of the device and the files that it was done with. */
  class: RunClass;
  score: number | null;
  scoreSeconds: number;
  scoreWallSeconds: number;
}

/** One experiment in the ledger: `experiments/0042.json`. */
export interface ExperimentRecord {
  format: 2;
  study: string;
  number: number;
  /** Full hash of the candidate's commit, and of the incumbent that it was tried against. */
  commit: string;
  incumbent: string;
  /** Who proposed it: `claude`, `command`, `tpe`, or `baseline`. */
  researcher: string;
  title: string;
  hypothesis: string;
  /** What came with the edits; null for the baseline. */
  research: Research | null;
  /** Ideas that came in with this experiment, from its researcher and from people. */
  ideas: Idea[];
  /** Ids of ideas that people took off the backlog meanwhile. */
  droppedIdeas: string[];
  verdict: Verdict;
  reason: Reason;
  /** One line for people: why this verdict. */
  detail: string;
  failure: Failure | null;
  /** The candidate's score and the incumbent's at the time; null without one. */
  score: number | null;
  incumbentScore: number | null;
  /** All runs in their order, those of crashed attempts that were repaired included. */
  runs: ScoredRun[];
  /** Candidates that crashed and were repaired, in their order; `commit` is the last one. */
  repairs: Repair[];
  /** Changes that its researcher would have made, and that were refused because they had been tried before. */
  repeatsRefused: number;
  /** The keep rule that the verdict follows from. */
  policy: PolicyChoice;
  budget: TrainBudget;
  /** Workflow time, ISO 8601. */
  startedAt: string;
  finishedAt: string;
  /** Money spent on proposing, in US dollars. */
  dollars: number;
  /** GPU seconds at their price, in US dollars; 0 where the study has none. */
  gpuDollars: number;
  seal: Seal;
  /** What the verdict may be compared with. */
  class: RunClass;
}

/** The ways to go on from a plateau (plateau.ts), in the order in which they are asked for. */
export const APPROACHES = ['combine', 'revert', 'simplify', 'radical', 'program'] as const;
export type Approach = (typeof APPROACHES)[number];

/** What a researcher leaves beside its edits; the ledger keeps it, and later proposals read it there. */
export interface Research {
  /** The effect that it expected, in its words. */
  expected: string;
  /** Names of the constants that the change touches. */
  knobs: string[];
  /** SHA-256 of program.md as it was read for this proposal. */
  program: string;
  /** Hash of what the candidate's editable files mean, layout and comments left out; null where they do not parse. */
  meaning: string | null;
  /** Hints from people that it was given. */
  hints: string[];
  /** Id of the idea of the backlog that it took up. */
  idea: string | null;
  /** All lessons that hold now, where they were drawn anew with this experiment. */
  lessons: string[] | null;
  /** Ranges that it gave for constants that lab.yaml has none for. */
  ranges: Knob[];
  /** The change of approach that a plateau asked for. */
  approach: Approach | null;
  usage: Usage | null;
  /** The most that one call for it has cost, in US dollars, of those that said what they did; null where none has. */
  dearestCall: number | null;
  /** Calls for it whose cost could not be read; null where all could. */
  assumed: Assumed | null;
}

/** An idea for later. */
export interface Idea {
  /** `12.1`: the first that came in with experiment 12. */
  id: string;
  text: string;
  from: 'researcher' | 'human';
}

/** A candidate that crashed and was replaced, within the same experiment. */
export interface Repair {
  commit: string;
  failure: Failure;
}

/** One row of a study's history, small enough to be carried in workflow state. */
export interface ExperimentSummary {
  number: number;
  commit: string;
  verdict: Verdict;
  reason: Reason;
  score: number | null;
  /** On `val`, of each run of the candidate, and of the incumbent for its sake. */
  scores: readonly number[];
  incumbentScores: readonly number[];
  title: string;
  gpuSeconds: number;
  /** Wall seconds from the experiment's start to its record. */
  seconds: number;
  /** Proposing, and the GPU at its price. */
  dollars: number;
  /** Calls whose cost could not be read; `dollars` includes what they were counted at. */
  assumed: Assumed | null;
}

/** GPU seconds of a record: every second that one of its runs or scorings held the device. */
export function gpuSeconds(runs: readonly ScoredRun[]): number {
  return runs.reduce((sum, run) => sum + run.wallSeconds + run.scoreWallSeconds, 0);
}

/** Wall seconds from start to record. A server's clock may be put back meanwhile: never less than its runs took. */
export function secondsTaken({
  startedAt,
  finishedAt,
  runs,
}: Pick<ExperimentRecord, 'startedAt' | 'finishedAt' | 'runs'>): number {
  return Math.max(gpuSeconds(runs), (Date.parse(finishedAt) - Date.parse(startedAt)) / 1000);
}

/** What a commit's runs scored on `val`. */
function scoresOf(runs: readonly ScoredRun[], commit: string): number[] {
  return runs.flatMap((run) => (run.commit === commit && run.split === 'val' ? (run.score ?? []) : []));
}

/** The summary of a record, as the workflow, `status` and `history` show it. */
export function summarize(record: ExperimentRecord): ExperimentSummary {
  const { number, commit, verdict, reason, score, title } = record;
  return {
    number,
    commit,
    verdict,
    reason,
    score,
    scores: scoresOf(record.runs, commit),
    incumbentScores: scoresOf(record.runs, record.incumbent),
    title,
    gpuSeconds: gpuSeconds(record.runs),
    seconds: secondsTaken(record),
    dollars: record.dollars + record.gpuDollars,
    assumed: record.research?.assumed ?? null,
  };
}

/** `0042`: how an experiment's number is written in refs, file names and workflow ids. */
export function experimentName(number: number): string {
  return String(number).padStart(4, '0');
}
