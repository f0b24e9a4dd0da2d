/**
 * A study's state and its transitions, as pure functions: the workflow carries a `StudyState` from one
 * continue-as-new to the next, activities rebuild it from the ledger, tests drive it without a server.
 */
import type { Direction, ExperimentSummary, TrainBudget } from './experiment';
import { limitReached, NOTHING_SPENT, spend, type Limits, type Spent } from './limits';
import type { Incumbent } from './policy';

/** What a study is, fixed when it starts but for its limits; the ledger keeps it as `study.json`. */
export interface StudyConfig {
  format: 1;
  tag: string;
  workflowId: string;
  /** The lab's absolute path on the host that owns it, and the short id that keys its state. */
  lab: string;
  labId: string;
  researcher: string;
  /** Command line of the `command` researcher; null for the others. */
  researcherCommand: string | null;
  budget: TrainBudget;
  limits: Limits;
  metric: string;
  direction: Direction;
  /** The commit that the study began from: locked files always come from here. */
  base: string;
  /** ISO 8601. */
  createdAt: string;
}

/** How many finished experiments a study carries; all of them are in the ledger. */
export const RECENT = 50;
/** Hints that wait for the next proposal. */
export const MAX_HINTS = 20;

export interface StudyState {
  limits: Limits;
  spent: Spent;
  kept: number;
  discarded: number;
  crashed: number;
  /** null until the baseline is recorded. */
  incumbent: Incumbent | null;
  /** The baseline's score: what "−2.7 %" is measured against. */
  baselineScore: number | null;
  /** The last experiments, oldest first, at most `RECENT`. */
  recent: ExperimentSummary[];
  hints: string[];
  /** Why the study waits; null while it runs. */
  paused: Pause | null;
  stopping: 'after-experiment' | 'now' | null;
  /** The last message that was refused, in words; signals cannot answer, so `status` does. */
  refused: string | null;
}

export interface Pause {
  by: 'user' | 'limit' | 'trouble';
  reason: string;
}

export function newStudy(limits: Limits): StudyState {
  return {
    limits,
    spent: NOTHING_SPENT,
    kept: 0,
    discarded: 0,
    crashed: 0,
    incumbent: null,
    baselineScore: null,
    recent: [],
    hints: [],
    paused: null,
    stopping: null,
    refused: null,
  };
}

/** The number that the next experiment gets: one a record, without gaps. */
export function nextNumber(state: StudyState): number {
  return state.spent.experiments;
}

/**
 * Takes in a finished experiment. One that is already counted is ignored, so that a result that
 * arrives twice is counted once.
 * @throws RangeError if an experiment in between is missing
 */
export function finish(state: StudyState, done: ExperimentSummary): StudyState {
  if (done.number < nextNumber(state)) return state;
  if (done.number > nextNumber(state)) {
    throw new RangeError(`experiment ${done.number} finished before experiment ${nextNumber(state)}`);
  }
  const { verdict, number, commit, score } = done;
  const isBaseline = number === 0;
  const moves = verdict === 'keep' || isBaseline;
  const next: StudyState = {
    ...state,
    spent: spend(state.spent, done),
    kept: state.kept + Number(verdict === 'keep'),
    discarded: state.discarded + Number(verdict === 'discard'),
    crashed: state.crashed + Number(verdict === 'crash'),
    incumbent: moves ? { commit, experiment: number, score } : state.incumbent,
    baselineScore: isBaseline ? score : state.baselineScore,
    recent: [...state.recent, done].slice(-RECENT),
  };
  if (isBaseline && verdict === 'crash') {
    return pause(next, { by: 'trouble', reason: 'the baseline crashed: see `autoresearch show 0`' });
  }
  return next;
}

/** The state that a list of experiments leads to, from the baseline on: how a study is rebuilt. */
export function rebuild(limits: Limits, history: readonly ExperimentSummary[]): StudyState {
  const state = history.reduce(finish, newStudy(limits));
  return { ...state, paused: null };
}

/** Takes what happened from the ledger, which is the truth, and keeps what people asked for meanwhile. */
export function adopt(state: StudyState, ledger: StudyState): StudyState {
  const { limits, hints, paused, stopping, refused } = state;
  return { ...ledger, limits, hints, paused, stopping, refused };
}

export function pause(state: StudyState, why: Pause): StudyState {
  return { ...state, paused: why };
}

/** Clears a pause, whoever made it. A limit that still holds pauses the study again at once. */
export function resume(state: StudyState): StudyState {
  return { ...state, paused: null };
}

/** Stopping cannot be taken back, only made more urgent. */
export function stop(state: StudyState, now: boolean): StudyState {
  return { ...state, stopping: now || state.stopping === 'now' ? 'now' : 'after-experiment' };
}

/** Sets limits: a number replaces one, null clears it, absent keeps it. A pause that a limit made is looked at anew. */
export function adjustLimits(state: StudyState, change: Partial<Limits>): StudyState {
  return {
    ...state,
    limits: { ...state.limits, ...change },
    paused: state.paused?.by === 'limit' ? null : state.paused,
  };
}

/** Adds a hint, or refuses it when too many wait already. */
export function hint(state: StudyState, text: string): StudyState {
  if (state.hints.length >= MAX_HINTS)
    return refuse(state, `hint: ${MAX_HINTS} hints wait already; the next proposal takes them`);
  return { ...state, hints: [...state.hints, text] };
}

/** Hints are for one proposal: those that it was given leave, later ones stay. */
export function spendHints(state: StudyState, given: number): StudyState {
  return { ...state, hints: state.hints.slice(given) };
}

export function refuse(state: StudyState, why: string): StudyState {
  return { ...state, refused: why };
}

/** Pauses the study when a limit forbids the next experiment. */
export function holdToLimits(state: StudyState, budget: TrainBudget): StudyState {
  if (state.paused !== null) return state;
  const reached = limitReached(state.limits, state.spent, budget);
  return reached === null ? state : pause(state, { by: 'limit', reason: reached });
}

/** What the study does next. */
export function nextAction(state: StudyState): 'stop' | 'wait' | 'experiment' {
  if (state.stopping !== null) return 'stop';
  return state.paused === null ? 'experiment' : 'wait';
}
