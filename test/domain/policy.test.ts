import type { Failure, ScoredRun } from '../../src/domain/experiment';
import { greedy, type Decision } from '../../src/domain/policy';
import { runSeed } from '../../src/domain/seed';

const incumbent = { commit: 'a'.repeat(40), experiment: 3, score: 1.25 };

function run(score: number | null, failure: Failure | null = null): ScoredRun {
  return { score, failure } as ScoredRun;
}

function rule(direction: 'minimize' | 'maximize', score: number): Decision {
  return greedy({ direction, incumbent, runs: [run(score)] }) as Decision;
}

describe('greedy', () => {
  test('asks for a run while there is none', () => {
    expect(greedy({ direction: 'minimize', incumbent, runs: [] })).toBe('another-run');
  });

  test('keeps what is strictly better, in either direction', () => {
    expect(rule('minimize', 1.2499).verdict).toBe('keep');
    expect(rule('minimize', 1.25).verdict).toBe('discard');
    expect(rule('minimize', 1.2501).verdict).toBe('discard');
    expect(rule('maximize', 1.2501).verdict).toBe('keep');
    expect(rule('maximize', 1.25).verdict).toBe('discard');
  });

  test('keeps the baseline, and the first scored candidate after a baseline that crashed', () => {
    expect(greedy({ direction: 'minimize', incumbent: null, runs: [run(9)] })).toEqual({
      verdict: 'keep',
      reason: 'baseline',
      detail: 'the baseline: 9.0000',
    });
    const unscored = { ...incumbent, score: null };
    expect(greedy({ direction: 'minimize', incumbent: unscored, runs: [run(9)] })).toEqual({
      verdict: 'keep',
      reason: 'baseline',
      detail: 'the first score, in the place of a baseline that has none: 9.0000',
    });
  });

  test('the detail tells scores of any size apart', () => {
    const small = { ...incumbent, score: 3.0e-6 };
    expect(greedy({ direction: 'minimize', incumbent: small, runs: [run(2.9e-6)] })).toMatchObject({
      detail: 'better: 0.000002900 against 0.000003000',
    });
    expect(rule('minimize', 1.250001).detail).toBe('not better: 1.250001 against 1.250000');
  });

  test('a failure is a crash with its reason, never a score of zero', () => {
    const failure: Failure = { reason: 'oom', message: 'CUDA out of memory', tail: '' };
    expect(greedy({ direction: 'minimize', incumbent, runs: [run(null, failure)] })).toEqual({
      verdict: 'crash',
      reason: 'oom',
      detail: 'CUDA out of memory',
    });
  });
});

describe('runSeed', () => {
  test('differs between runs, experiments and studies, and is always the same for the same run', () => {
    const seeds = new Set<number>();
    for (const study of ['nov21', 'nov21b']) {
      for (let experiment = 0; experiment < 500; experiment++) {
        for (let attempt = 1; attempt <= 5; attempt++) seeds.add(runSeed(study, experiment, attempt));
      }
    }
    expect(seeds.size).toBe(5000);
    expect(Math.min(...seeds)).toBeGreaterThanOrEqual(1);
    expect(Math.max(...seeds)).toBeLessThanOrEqual(2 ** 31 - 1);
    // Published studies stand on these: a change here would give every old study new seeds.
    expect([runSeed('nov21', 0, 1), runSeed('nov21', 1, 1), runSeed('nov21', 0, 2)]).toEqual([
      1343319089, 1800324483, 490219969,
    ]);
  });
});
