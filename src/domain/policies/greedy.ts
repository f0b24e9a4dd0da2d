/**
 * Upstream's rule (karpathy/autoresearch, program.md): one run, kept when its score is strictly better than the
 * incumbent's. It mistakes luck for gain as soon as gains are smaller than the noise between seeds.
 */
import type { Direction } from '../experiment';
import { scoreText, scoreTexts } from '../numbers';
import { crash, type Evidence, type Policy, type Ruling } from './policy';

const WORDS =
  'One run decides, with a seed that the lab draws: strictly better than the score of the incumbent is kept and becomes the incumbent. All else is reset, an equal score with less code too.';

export const greedy: Policy = { rule, words: WORDS };

function rule({ direction, incumbent, runs }: Evidence): Ruling {
  const last = runs.at(-1);
  if (last === undefined)
    return { runs: [{ arms: ['candidate'], order: 'single', seed: 'next', split: 'val' }] };
  if (last.failure !== null) return { decision: crash(last.failure) };
  const { score } = last;
  if (score === null) throw new RangeError('a run without a failure must have a score');
  if (incumbent === null || incumbent.score === null) {
    const what =
      incumbent === null ? 'the baseline' : 'the first score, in the place of a baseline that has none';
    const detail = `${what}: ${scoreText(score)}`;
    return { decision: { verdict: 'keep', reason: 'baseline', score, detail } };
  }
  const change = scoreTexts(score, incumbent.score).join(' against ');
  return {
    decision: isBetter(direction, score, incumbent.score)
      ? { verdict: 'keep', reason: 'better', score, detail: `better: ${change}` }
      : { verdict: 'discard', reason: 'not-better', score, detail: `not better: ${change}` },
  };
}

/** True if `a` is strictly better than `b`. */
function isBetter(direction: Direction, a: number, b: number): boolean {
  return direction === 'minimize' ? a < b : a > b;
}
