/** Makes ledgers of any length. */
import type { ExperimentRecord } from '../../../src/domain/experiment';
import { DEFAULT_POLICY } from '../../../src/domain/policies/choice';
import { makeRun } from '../../labs/make-lab';

const SUBJECTS = ['depth', 'warmup', 'weight decay', 'MLP ratio', 'soft cap', 'value embeddings', 'momentum'];

/** The n-th record of a study in which every ninth change is kept and every seventh crashes. */
export function madeRecord(number: number, change: Partial<ExperimentRecord> = {}): ExperimentRecord {
  const verdict = number % 9 === 0 ? 'keep' : number % 7 === 0 ? 'crash' : 'discard';
  const best = 2 - Math.floor(number / 9) * 0.001;
  const score = verdict === 'crash' ? null : verdict === 'keep' ? best : best + 0.0005 * (1 + (number % 5));
  const failure =
    verdict === 'crash'
      ? { reason: 'oom' as const, message: 'CUDA out of memory', tail: 'Traceback: out of memory' }
      : null;
  const start = Date.UTC(2026, 10, 21) + number * 400_000;
  return {
    format: 2,
    study: 'test',
    number,
    commit: number.toString(16).padStart(40, 'c'),
    incumbent: 'i'.repeat(40),
    researcher: number === 0 ? 'baseline' : 'claude',
    title: number === 0 ? 'baseline' : `Try ${SUBJECTS[number % SUBJECTS.length]} in way ${number}`,
    hypothesis:
      number === 0 ? '' : `Because experiment ${number - 1} hinted at it, and it should be worth 0.002.`,
    research:
      number === 0
        ? null
        : {
            expected: '0.002 lower',
            knobs: number % 3 === 0 ? ['DEPTH'] : [],
            program: 'p',
            meaning: null,
            hints: [],
            idea: null,
            lessons: null,
            ranges: [],
            approach: null,
            usage: null,
            dearestCall: null,
            assumed: null,
          },
    ideas: [],
    droppedIdeas: [],
    verdict,
    reason:
      verdict === 'keep'
        ? number === 0
          ? 'baseline'
          : 'better'
        : verdict === 'crash'
          ? 'oom'
          : 'not-better',
    detail: 'as the rule says',
    failure,
    score,
    incumbentScore: number === 0 ? null : best + 0.001,
    runs: [makeRun(score)],
    repairs: [],
    repeatsRefused: 0,
    policy: DEFAULT_POLICY,
    budget: { seconds: 300 },
    startedAt: new Date(start).toISOString(),
    finishedAt: new Date(start + 380_000).toISOString(),
    dollars: 0.1,
    gpuDollars: 0,
    seal: 'graph',
    class: { device: 'test', torch: '0', lab: '0', data: '0' },
    ...change,
  };
}

export const madeLedger = (length: number): ExperimentRecord[] =>
  Array.from({ length }, (_, number) => madeRecord(number));
