/** Puts another rule in greedy's place, inside the workflow sandbox: two runs each of candidate and incumbent, turned about. */
import { greedy } from '../../src/domain/policies/greedy';
import type { Evidence, Ruling } from '../../src/domain/policies/policy';

const meanOf = ({ runs }: Evidence, wanted: 'candidate' | 'incumbent'): number => {
  const scores = runs.flatMap(({ arm, score }) => (arm === wanted ? (score ?? []) : []));
  return scores.reduce((sum, score) => sum + score, 0) / scores.length;
};

const baselineRule = greedy.rule;

greedy.rule = (evidence: Evidence): Ruling => {
  const { incumbent, runs } = evidence;
  if (incumbent === null || runs.some(({ failure }) => failure !== null)) return baselineRule(evidence);
  if (runs.length === 0)
    return { runs: [{ arms: ['candidate', 'incumbent'], order: 'ABBA', seed: 'next', split: 'val' }] };
  const score = meanOf(evidence, 'candidate');
  const isBetter = score < meanOf(evidence, 'incumbent');
  const detail = `${incumbent.scores.length} scores of the incumbent before`;
  return {
    decision: isBetter
      ? { verdict: 'keep', reason: 'better', score, detail }
      : { verdict: 'discard', reason: 'not-better', score, detail },
  };
};

export const interceptors = (): object => ({});
