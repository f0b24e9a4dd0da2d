/** The interface of researchers, which propose the next change. All get the same context and answer with a proposal. */
import type { TrainBudget } from '../domain/budget';
import type { ExperimentRecord, Failure, Idea } from '../domain/experiment';
import type { Limits } from '../domain/limits';
import type { Usage } from '../domain/money';
import type { Plateau } from '../domain/plateau';
import type { PolicyChoice } from '../domain/policies/choice';
import type { ModelSettings } from '../domain/study';
import type { LabConfig } from '../labs/lab-yaml';
import type { Edit, Proposal } from '../ledger/proposals';
import type { SpendGuard } from './spend-guard';

export interface ResearchContext {
  tag: string;
  /** Number of the experiment that the proposal is for. */
  number: number;
  lab: LabConfig;
  /** How long a run of this study trains; the study may override lab.yaml's default. */
  budget: TrainBudget;
  /** The keep rule. */
  policy: PolicyChoice;
  /** Names of the study's other researchers. */
  others: readonly string[];
  /** Text of program.md, as it is now in the user's working tree. */
  program: string;
  incumbent: { commit: string; files: Record<string, string> };
  /** Records of all finished experiments, oldest first. */
  history: readonly ExperimentRecord[];
  /** Text of `path` at each of these commits; null where the commit has no such file. Cheap: one git process. */
  readAt: (path: string, commits: readonly string[]) => Promise<(string | null)[]>;
  /** The patch of each of these commits. */
  diffs: (commits: readonly string[]) => Promise<string[]>;
  /** The user's hints for this proposal, oldest first. */
  hints: readonly string[];
  /** The backlog, and the latest list of lessons. */
  ideas: readonly Idea[];
  lessons: readonly string[];
  plateau: Plateau;
  /** What is left of each limit: experiments, GPU-hours, hours, US dollars; null where the study has no limit. */
  left: Limits;
  /** The crashed candidate when the question is how to repair it; edits then apply to its files. */
  repair: Repairing | null;
  /** Settings of the language model; null when the study has none. */
  model: ModelSettings | null;
  /** US dollars to reserve for a call of a command until one reports its cost; null when the user gave none. */
  callDollars: number | null;
  spendGuard: SpendGuard;
  /** Checks a change without spending a run: do the edits apply, is it new, does it start? Null when nothing is wrong. */
  check: (edits: readonly Edit[], signal: AbortSignal) => Promise<Objection | null>;
  /** The objections to this researcher's earlier answers for this experiment. */
  refused: readonly Objection[];
  /** Path of the trainer's Python interpreter. */
  python: string;
  /** When the study began to wait for this proposal, in milliseconds since 1970, earlier tries included. */
  since: number;
  /** Absolute path of the proposal's own folder, for transcripts and working copies. */
  folder: string;
}

export interface Repairing {
  /** Name of the researcher that proposed it; null when the study has one researcher. */
  researcher: string | null;
  /** 1 for the first repair; `of` is the most that the study allows. */
  attempt: number;
  of: number;
  commit: string;
  /** The editable files as the crashed candidate had them. */
  files: Record<string, string>;
  title: string;
  hypothesis: string;
  failure: Failure;
}

/** Why a change was refused, as text for the researcher. */
export interface Objection {
  /**
   * `edits`: does not apply or breaks a rule; `data`: brings in too much data; `repeat`: was tried before;
   * `syntax`: does not parse; `startup`: does not start.
   */
  kind: 'edits' | 'data' | 'repeat' | 'syntax' | 'startup';
  message: string;
}

export interface Researcher {
  /**
   * @param signal aborted when the study stops or the worker shuts down: end every started process
   * @throws NoProposal when there is nothing to try
   * @throws GivenUp when a crash is not worth a repair
   * @throws BudgetExhausted when the remaining dollars do not cover the next call
   */
  propose(context: ResearchContext, signal: AbortSignal): Promise<Proposal>;
}

/** The researcher will not repair a crash: it is not asked for that repair again. */
export class GivenUp extends Error {
  override name = 'GivenUp';
  /** Tokens that the calls used; null without a language model. */
  usage: Usage | null = null;
}

/** The researcher gave no answer that can be tried; the message says what it did instead. */
export class NoProposal extends Error {
  override name = 'NoProposal';
  /** What the researcher can correct when it is asked again; null when it can only try again. */
  objection: Objection | null = null;
  /** Tokens that the calls used; null without a language model. */
  usage: Usage | null = null;
}
