/**
 * A study's state and its transitions, as pure functions: the workflow carries a `StudyState` from one
 * continue-as-new to the next, activities rebuild it from the ledger, tests drive it without a server.
 */
import type { TrainBudget } from './budget';
import type { Direction, ExperimentSummary } from './experiment';
import { dollarsLeft, limitReached, NOTHING_SPENT, spend, type Limits, type Spent } from './limits';
import type { ModelPrice } from './money';
import { DEFAULT_POLICY, type PolicyChoice } from './policies/choice';
import { nextIncumbent, type Incumbent } from './policies/policy';
import { MAX_WITHOUT_PROPOSAL, withoutProposal } from './plateau';
import { NOTHING_WAITS, stillWaiting, without, type LastTaken, type Waiting } from './waiting';

/** What a study is, fixed when it starts but for its limits; the ledger keeps it as `study.json`. */
export interface StudyConfig {
  format: 2;
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
  /** Minutes that the `command` researcher has for one proposal. */
  commandMinutes: number;
  /**
   * What a call of the `command` researcher is taken to cost until one has said what it did, in US dollars; null for
   * `ASSUMED_CALL_DOLLARS` where there is a limit in dollars, and nothing where there is none.
   */
  callDollars: number | null;
  /** How the language model is asked; null where none is. */
  model: ModelSettings | null;
  /** Price of an hour of the GPU, in US dollars; 0 counts none. */
  gpuHourDollars: number;
  /** Experiments without a keep that make a plateau. */
  plateauAfter: number;
  /** How long it rests when nothing was proposed time and again. */
  restMinutes: number;
  /** How often a candidate that crashed goes back to its researcher, within its experiment. */
  repairs: number;
  /** The keep rule, by name and parameters. */
  policy: PolicyChoice;
  /** What people had said when the study was stopped, and no proposal had heard yet. */
  waiting: Waiting;
}

/** What a language model has for one answer: three that take it all have to fit into the two hours of a proposal. */
export const ANSWER_MINUTES = 30;
/** As many as come in that time from a model that writes 128,000 an hour, the slowest that Anthropic's SDK reckons with. */
export const MAX_ANSWER_TOKENS = (128_000 * ANSWER_MINUTES) / 60;

/** Long sessions of coding agents cost about this much. */
export const ASSUMED_CALL_DOLLARS = 1;

export interface ModelSettings {
  name: string;
  effort: 'low' | 'medium' | 'high' | 'xhigh' | 'max';
  /** Tokens that a question may have at most, and an answer with its thinking. */
  contextTokens: number;
  answerTokens: number;
  /** Null where it is not known: then no limit in dollars can be held. */
  price: ModelPrice | null;
  /** Lessons are drawn anew after so many experiments. */
  lessonsEvery: number;
}

/** What a study has where nobody says otherwise. */
export const LATER_SETTINGS = {
  commandMinutes: 30,
  callDollars: null,
  model: null,
  gpuHourDollars: 0,
  plateauAfter: 8,
  restMinutes: 60,
  repairs: 0,
  policy: DEFAULT_POLICY,
  waiting: NOTHING_WAITS,
} as const satisfies Partial<StudyConfig>;

/** How many finished experiments a study carries; all of them are in the ledger. */
export const RECENT = 50;
/** Hints, and ideas, that wait for the next experiment. */
export const MAX_WAITING = 20;

export interface StudyState {
  limits: Limits;
  spent: Spent;
  kept: number;
  discarded: number;
  crashed: number;
  /** null until the baseline is recorded. */
  incumbent: Incumbent | null;
  /** The baseline's commit, and its score: what "−2.7 %" is measured against. */
  baseline: string | null;
  baselineScore: number | null;
  /** The last experiments, oldest first, at most `RECENT`. */
  recent: ExperimentSummary[];
  /** Experiments since the last one that was kept. */
  sinceKeep: number;
  waiting: Waiting;
  /** Why the study waits; null while it runs. */
  paused: Pause | null;
  stopping: 'after-experiment' | 'now' | null;
  /** The last message, if it was refused, in words; signals cannot answer, so `status` does. */
  refused: string | null;
}

export interface Pause {
  /** After a lack of ideas the study goes on by itself, when it has rested. All else waits for a person. */
  by: 'user' | 'limit' | 'error' | 'ideas';
  reason: string;
}

export function newStudy(limits: Limits, waiting: Waiting = NOTHING_WAITS): StudyState {
  return {
    limits,
    spent: NOTHING_SPENT,
    kept: 0,
    discarded: 0,
    crashed: 0,
    incumbent: null,
    baseline: null,
    baselineScore: null,
    recent: [],
    sinceKeep: 0,
    waiting,
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
  const next: StudyState = {
    ...state,
    spent: spend(state.spent, done),
    kept: state.kept + Number(verdict === 'keep'),
    discarded: state.discarded + Number(verdict === 'discard'),
    crashed: state.crashed + Number(verdict === 'crash'),
    incumbent: nextIncumbent(state.incumbent, done),
    baseline: isBaseline ? commit : state.baseline,
    baselineScore: isBaseline ? score : state.baselineScore,
    recent: [...state.recent, done].slice(-RECENT),
    sinceKeep: verdict === 'keep' ? 0 : state.sinceKeep + 1,
  };
  if (isBaseline && verdict === 'crash') {
    const reason =
      'the baseline crashed: see `autoresearch show 0`; mend the lab and `start` another study, or resumed, this one keeps the first change that gets a score';
    return pause(next, { by: 'error', reason });
  }
  // A rest would end the pause that somebody has asked for meanwhile.
  if (next.paused?.by === 'user') return next;
  if (withoutProposal(next.recent) >= MAX_WITHOUT_PROPOSAL) {
    const reason = `nothing was proposed ${MAX_WITHOUT_PROPOSAL} times in a row: see \`autoresearch show ${number}\`; it is tried again after a rest, or at \`resume\``;
    return pause(next, { by: 'ideas', reason });
  }
  return next;
}

/** The state that a list of experiments leads to, from the baseline on: how a study is rebuilt. */
export function rebuild(limits: Limits, history: readonly ExperimentSummary[]): StudyState {
  const state = history.reduce(finish, newStudy(limits));
  return { ...state, paused: null };
}

/**
 * Takes what happened from the ledger, which is the truth, and keeps what people asked for meanwhile.
 * @param last what its last record took in
 * @param startedAt when the study's workflow was started, in milliseconds since the epoch
 */
export function adopt(
  state: StudyState,
  ledger: StudyState,
  last: LastTaken | null,
  startedAt: number,
): StudyState {
  const { limits, paused, stopping, refused } = state;
  const waiting = stillWaiting(state.waiting, last, { experiments: nextNumber(state), startedAt });
  return { ...ledger, limits, waiting, paused, stopping, refused };
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
  return wait(state, 'hints', text);
}

/** Adds an idea to the backlog, which takes it in with the next experiment; or takes one off. */
export function idea(state: StudyState, request: { text: string } | { drop: string }): StudyState {
  return 'text' in request ? wait(state, 'ideas', request.text) : wait(state, 'droppedIdeas', request.drop);
}

function wait(state: StudyState, kind: keyof Waiting, text: string): StudyState {
  if (state.waiting[kind].length >= MAX_WAITING) {
    return refuse(state, `${MAX_WAITING} of these wait already; the next experiments take them`);
  }
  return { ...state, waiting: { ...state.waiting, [kind]: [...state.waiting[kind], text] } };
}

/** Takes in that an experiment has heard something of what waited. */
export function takeIn(state: StudyState, taken: Waiting): StudyState {
  return { ...state, waiting: without(state.waiting, taken) };
}

export function refuse(state: StudyState, why: string): StudyState {
  return { ...state, refused: why };
}

/** Before the next message: what was refused is no news any more. */
export function listen(state: StudyState): StudyState {
  return { ...state, refused: null };
}

/**
 * Pauses the study when a limit forbids the next experiment.
 * @param aside GPU seconds that are set aside for it
 */
export function holdToLimits(
  state: StudyState,
  { gpuHourDollars }: Pick<StudyConfig, 'gpuHourDollars'>,
  aside: number,
): StudyState {
  if (state.paused !== null) return state;
  const reached = limitReached(state.limits, state.spent, aside, gpuHourDollars);
  return reached === null ? state : pause(state, { by: 'limit', reason: reached });
}

const rest = (limit: number | null, used: number): number | null =>
  limit === null ? null : Math.max(0, limit - used);

/** What is left of each limit for the next experiment; the price of its GPU seconds is set `aside` from the dollars. */
export function leftOf(
  { limits, spent }: StudyState,
  { gpuHourDollars }: StudyConfig,
  aside: number,
): Limits {
  return {
    experiments: rest(limits.experiments, spent.experiments),
    gpuHours: rest(limits.gpuHours, spent.gpuSeconds / 3600),
    hours: rest(limits.hours, spent.seconds / 3600),
    dollars: dollarsLeft(limits, spent, aside, gpuHourDollars),
  };
}

/** What the study does next. */
export function nextAction(state: StudyState): 'stop' | 'wait' | 'experiment' {
  if (state.stopping !== null) return 'stop';
  return state.paused === null ? 'experiment' : 'wait';
}
