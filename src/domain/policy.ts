/**
 * The keep rule. A policy sees the scored runs of the candidate and what is known of the incumbent, and
 * either gives a verdict or asks for one more run on a fresh seed; the experiment workflow does as it says.
 */
import type { Direction, Failure, Reason, ScoredRun, Verdict } from './experiment';
import { scoreText, scoreTexts } from './numbers';

/** The best kept commit so far, as a policy sees it. */
export interface Incumbent {
  commit: string;
  experiment: number;
  /** null for a baseline that crashed: the first candidate with a score takes its place. */
  score: number | null;
}

export interface Evidence {
  direction: Direction;
  /** null for the baseline, which has nothing to beat. */
  incumbent: Incumbent | null;
  runs: readonly ScoredRun[];
}

export interface Decision {
  verdict: Verdict;
  reason: Reason;
  /** One line for people. */
  detail: string;
}

export type Ruling = Decision | 'another-run';

/** Is `a` strictly better than `b`? */
export function isBetter(direction: Direction, a: number, b: number): boolean {
  return direction === 'minimize' ? a < b : a > b;
}

/** A candidate that never got a score: a crash, whatever the policy. */
export function crash(failure: Failure): Decision {
  return { verdict: 'crash', reason: failure.reason, detail: failure.message };
}

/** The rule in words, for researchers: what they believe about it decides what they try. */
export const GREEDY_RULE =
  'One run decides, with a seed that the lab draws: strictly better than the score of the incumbent is kept and becomes the incumbent. All else is reset, an equal score with less code too.';

/**
 * Upstream's rule: one run, kept when its score is strictly better than the incumbent's.
 * It mistakes luck for gain as soon as gains are smaller than the noise between seeds; a statistical
 * policy takes this one's place.
 */
export function greedy({ direction, incumbent, runs }: Evidence): Ruling {
  const last = runs.at(-1);
  if (last === undefined) return 'another-run';
  if (last.failure !== null) return crash(last.failure);
  const score = last.score;
  if (score === null) throw new RangeError('a run without a failure must have a score');
  if (incumbent === null || incumbent.score === null) {
    const what =
      incumbent === null ? 'the baseline' : 'the first score, in the place of a baseline that has none';
    return { verdict: 'keep', reason: 'baseline', detail: `${what}: ${scoreText(score)}` };
  }
  const change = scoreTexts(score, incumbent.score).join(' against ');
  return isBetter(direction, score, incumbent.score)
    ? { verdict: 'keep', reason: 'better', detail: `better: ${change}` }
    : { verdict: 'discard', reason: 'not-better', detail: `not better: ${change}` };
}
