/** What proposes the next change. All researchers see the same context and answer with a proposal. */
import type { TrainBudget } from '../domain/budget';
import type { ExperimentRecord, Failure, Idea } from '../domain/experiment';
import type { Limits } from '../domain/limits';
import type { Usage } from '../domain/money';
import type { Plateau } from '../domain/plateau';
import type { PolicyChoice } from '../domain/policies/choice';
import type { ModelSettings } from '../domain/study';
import type { LabConfig } from '../labs/lab-yaml';
import type { Edit, Proposal } from '../ledger/proposals';
import type { Purse } from './purse';

export interface ResearchContext {
  tag: string;
  /** The number of the experiment that the proposal is for. */
  number: number;
  lab: LabConfig;
  /** How long a run of this study trains: lab.yaml's default may have been overridden. */
  budget: TrainBudget;
  /** The keep rule. */
  policy: PolicyChoice;
  /** Who else proposes in this study. */
  others: readonly string[];
  /** program.md as it is in the human's working tree right now. */
  program: string;
  incumbent: { commit: string; files: Record<string, string> };
  /** All finished experiments, oldest first. */
  history: readonly ExperimentRecord[];
  /** Contents of `path` at each of these commits; null where there is none. Cheap: one git process. */
  readAt: (path: string, commits: readonly string[]) => Promise<(string | null)[]>;
  /** What each of these commits changed, as a patch. */
  diffs: (commits: readonly string[]) => Promise<string[]>;
  /** What people said for this proposal. */
  hints: readonly string[];
  /** The backlog, and the lessons that were drawn last. */
  ideas: readonly Idea[];
  lessons: readonly string[];
  plateau: Plateau;
  /** What is left of each limit; null where there is none. */
  left: Limits;
  /** Set when the last candidate crashed and the question is how to repair it: its edits are to these files. */
  repair: Repairing | null;
  /** How a language model is asked; null where the study has none. */
  model: ModelSettings | null;
  /** What a call of a command counts as until one has said what it cost; null where nobody says. */
  callDollars: number | null;
  purse: Purse;
  /** Tries a change without the device: do the edits apply, is it new, does it start? Null when nothing is wrong with it. */
  check: (edits: readonly Edit[], signal: AbortSignal) => Promise<Objection | null>;
  /** What was wrong with that which this researcher has answered for this experiment so far; it is asked again. */
  refused: readonly Objection[];
  /** The interpreter of the trainer's environment. */
  python: string;
  /** When the study began to wait for this proposal, in milliseconds since 1970; earlier tries are after it. */
  since: number;
  /** A folder that is the proposal's own, for transcripts and worktrees. */
  folder: string;
}

export interface Repairing {
  /** Who proposed it, where a study has several researchers. */
  researcher: string | null;
  /** 1 is the first, of `of`. */
  attempt: number;
  of: number;
  commit: string;
  /** The editable files as the crashed candidate had them. */
  files: Record<string, string>;
  title: string;
  hypothesis: string;
  failure: Failure;
}

/** Why a change would not do, in words for the researcher. */
export interface Objection {
  /** It does not apply or breaks a rule; brings too much data along; was tried before; does not parse; does not start. */
  kind: 'edits' | 'data' | 'repeat' | 'syntax' | 'startup';
  message: string;
}

export interface Researcher {
  /**
   * @param signal aborted when the study is stopped or the worker goes: end every process that was started
   * @throws NoProposal when there is nothing to try
   * @throws GivenUp when a crash is not worth a repair
   * @throws BudgetExhausted when the money that is left does not cover what it would have to ask
   */
  propose(context: ResearchContext, signal: AbortSignal): Promise<Proposal>;
}

/** The researcher leaves a crash as it is: it is not asked for that repair again. */
export class GivenUp extends Error {
  override name = 'GivenUp';
  /** What was asked of a language model for nothing. */
  usage: Usage | null = null;
}

/** The researcher answered nothing that could be tried; the message says what it did instead. */
export class NoProposal extends Error {
  override name = 'NoProposal';
  /** What the researcher can correct when it is asked again; null where nothing helps but another try. */
  objection: Objection | null = null;
  /** What was asked of a language model for nothing. */
  usage: Usage | null = null;
}
