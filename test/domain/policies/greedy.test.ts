import type { Failure } from '../../../src/domain/experiment';
import { greedy } from '../../../src/domain/policies/greedy';
import type { Decision, Evidence, EvidenceRun } from '../../../src/domain/policies/policy';

const incumbent = { commit: 'a'.repeat(40), experiment: 3, score: 1.25, scores: [1.25] };

const run = (score: number | null, failure: Failure | null = null): EvidenceRun => ({
  arm: 'candidate',
  commit: 'c'.repeat(40),
  seed: 1,
  split: 'val',
  score,
  failure,
  class: { device: 'cpu' },
});

function decide(evidence: Evidence): Decision {
  const ruling = greedy.rule(evidence);
  if (!('decision' in ruling)) throw new Error('expected a decision, not a request for runs');
  return ruling.decision;
}

const rule = (direction: 'minimize' | 'maximize', score: number): Decision =>
  decide({ direction, incumbent, runs: [run(score)] });

describe('greedy', () => {
  test('asks for a run while there is none', () => {
    expect(greedy.rule({ direction: 'minimize', incumbent, runs: [] })).toEqual({
      runs: [{ arms: ['candidate'], order: 'single', seed: 'next', split: 'val' }],
    });
  });

  test('keeps what is strictly better, in either direction', () => {
    expect(rule('minimize', 1.2499).verdict).toBe('keep');
    expect(rule('minimize', 1.25).verdict).toBe('discard');
    expect(rule('minimize', 1.2501).verdict).toBe('discard');
    expect(rule('maximize', 1.2501).verdict).toBe('keep');
    expect(rule('maximize', 1.25).verdict).toBe('discard');
  });

  test('keeps the baseline, and the first scored candidate after a baseline that crashed', () => {
    expect(decide({ direction: 'minimize', incumbent: null, runs: [run(9)] })).toEqual({
      verdict: 'keep',
      reason: 'baseline',
      score: 9,
      detail: 'the baseline: 9.0000',
    });
    const unscored = { ...incumbent, score: null };
    expect(decide({ direction: 'minimize', incumbent: unscored, runs: [run(9)] })).toEqual({
      verdict: 'keep',
      reason: 'baseline',
      score: 9,
      detail: 'the first score, in the place of a baseline that has none: 9.0000',
    });
  });

  test('the detail tells scores of any size apart', () => {
    const small = { ...incumbent, score: 3.0e-6 };
    expect(decide({ direction: 'minimize', incumbent: small, runs: [run(2.9e-6)] })).toMatchObject({
      detail: 'better: 0.000002900 against 0.000003000',
    });
    expect(rule('minimize', 1.250001).detail).toBe('not better: 1.250001 against 1.250000');
  });

  test('a failure is a crash with its reason, never a score of zero', () => {
    const failure: Failure = { reason: 'oom', message: 'CUDA out of memory', tail: '' };
    expect(decide({ direction: 'minimize', incumbent, runs: [run(null, failure)] })).toEqual({
      verdict: 'crash',
      reason: 'oom',
      score: null,
      detail: 'CUDA out of memory',
    });
  });
});
