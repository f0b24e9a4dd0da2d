import type { EvidenceRun, Policy, RunRequest } from '../../../src/domain/policies/policy';
import { endsRequest, nextStep, type Trial } from '../../../src/domain/policies/trial';
import { runSeed } from '../../../src/domain/seed';

const CANDIDATE = 'c'.repeat(40);
const INCUMBENT = 'a'.repeat(40);
const BASELINE = 'b'.repeat(40);

const trial: Trial = {
  tag: 'nov21',
  number: 7,
  direction: 'minimize',
  candidate: CANDIDATE,
  incumbent: { commit: INCUMBENT, experiment: 3, score: 1.25, scores: [1.25, 1.27] },
  baseline: BASELINE,
  runsBefore: 1,
};

const asking = (...runs: RunRequest[]): Policy => ({ rule: () => ({ runs }), words: '' });
const pair: RunRequest = { arms: ['candidate', 'incumbent'], order: 'single', seed: 'next', split: 'val' };

const had = (arm: EvidenceRun['arm'], failed = false): EvidenceRun => ({
  arm,
  commit: CANDIDATE,
  seed: 1,
  split: 'val',
  score: failed ? null : 1,
  failure: failed ? { reason: 'oom', message: 'out of memory', tail: '' } : null,
  class: {},
});

describe('the next step of a trial', () => {
  test('names each run of a request: number, commit, and one seed for all arms', () => {
    expect(nextStep(asking(pair, { ...pair, arms: ['baseline'], split: 'holdout' }), trial, [])).toEqual({
      runs: [
        { run: 2, arm: 'candidate', commit: CANDIDATE, seed: runSeed('nov21', 7, 2), split: 'val' },
        { run: 3, arm: 'incumbent', commit: INCUMBENT, seed: runSeed('nov21', 7, 2), split: 'val' },
        { run: 4, arm: 'baseline', commit: BASELINE, seed: runSeed('nov21', 7, 4), split: 'holdout' },
      ],
    });
  });

  test('goes on after the runs that there are, and takes a seed that a policy names', () => {
    const step = nextStep(asking({ ...pair, seed: 42 }), trial, [had('candidate'), had('incumbent')]);
    expect(step).toMatchObject({
      runs: [
        { run: 4, seed: 42 },
        { run: 5, seed: 42 },
      ],
    });
  });

  test('turns ABBA round in its second half', () => {
    const step = nextStep(asking({ ...pair, order: 'ABBA' }), trial, []);
    const arms = 'runs' in step ? step.runs.map(({ arm }) => arm) : [];
    expect(arms).toEqual(['candidate', 'incumbent', 'incumbent', 'candidate']);
    expect(() => nextStep(asking({ ...pair, arms: ['candidate'], order: 'ABBA' }), trial, [])).toThrow(
      'ABBA takes two arms, not 1',
    );
  });

  test('refuses what there is not: an incumbent before the baseline, a request without runs', () => {
    const first = { ...trial, number: 0, incumbent: null, baseline: null };
    expect(() => nextStep(asking(pair), first, [])).toThrow('experiment 0 has no incumbent to run');
    expect(() => nextStep(asking(), trial, [])).toThrow('must decide or ask for at least one run');
  });

  test('hands all evidence to the policy and its decision on', () => {
    const decision = { verdict: 'discard', reason: 'not-better', score: 2, detail: '' } as const;
    const seen: unknown[] = [];
    const policy: Policy = {
      rule: (evidence) => {
        seen.push(evidence);
        return { decision };
      },
      words: '',
    };
    const runs = [had('candidate'), had('incumbent')];
    expect(nextStep(policy, trial, runs)).toEqual({ decision });
    expect(seen).toEqual([{ direction: 'minimize', incumbent: trial.incumbent, runs }]);
  });
});

test('a crash of the candidate ends a request, one of another arm does not', () => {
  expect(endsRequest(had('candidate', true))).toBe(true);
  expect(endsRequest(had('candidate'))).toBe(false);
  expect(endsRequest(had('incumbent', true))).toBe(false);
});
