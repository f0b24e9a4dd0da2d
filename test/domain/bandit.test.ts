import { askingOrder, shares } from '../../src/domain/bandit';
import type { ExperimentRecord } from '../../src/domain/experiment';
import { runSeed } from '../../src/domain/seed';
import { makeRun } from '../labs/make-lab';

const ARMS = [
  { name: 'claude', costsDollars: true },
  { name: 'tpe', costsDollars: false },
];

/** A record with a gain as a fraction of the score; 0 for a discard. */
function tried(number: number, researcher: string, gain: number, dollars = 0): ExperimentRecord {
  const run = { ...makeRun(1 - gain), wallSeconds: 360, scoreWallSeconds: 0 };
  return {
    number,
    researcher,
    verdict: gain > 0 ? 'keep' : 'discard',
    score: 1 - gain,
    incumbentScore: 1,
    runs: [run],
    dollars,
    gpuDollars: 0,
  } as ExperimentRecord;
}

const baseline = tried(0, 'baseline', 0.5);
const unit = (tag: string, number: number, run: number) => runSeed(tag, number, run) / 2 ** 31;

/** A study of 200 experiments whose arms gain 0.4 % this often; a proposal of claude costs as much as a run. */
function simulate(tag: string, chanceOf: (number: number) => Record<string, number>): ExperimentRecord[] {
  const records = [baseline];
  for (let number = 1; number <= 200; number++) {
    const name = askingOrder(ARMS, records, 'minimize', { tag, number })[0]!.name;
    const kept = unit(tag, number, 1) < (chanceOf(number)[name] ?? 0);
    records.push(tried(number, name, kept ? 0.004 : 0, name === 'claude' ? 0.2 : 0));
  }
  return records;
}

const turning = (number: number) => (number <= 100 ? { claude: 0.4, tpe: 0.05 } : { claude: 0.02, tpe: 0.2 });
const shareOfTpe = (records: readonly ExperimentRecord[]) =>
  records.filter(({ researcher }) => researcher === 'tpe').length / records.length;
const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
const TAGS = Array.from({ length: 20 }, (_, index) => `study-${index}`);

test('each arm is tried once before anything is compared', () => {
  expect(shares(ARMS, [baseline], 'minimize')).toEqual([1, 0]);
  expect(shares(ARMS, [baseline, tried(1, 'claude', 0.1)], 'minimize')).toEqual([0, 1]);
  expect(shares(ARMS, [baseline, tried(1, 'claude', 0), tried(2, 'tpe', 0)], 'minimize')).toEqual([0.5, 0.5]);
});

test('the same records give the same order, and every arm is in it', () => {
  const records = [baseline, tried(1, 'claude', 0.1), tried(2, 'tpe', 0)];
  const orders = [1, 2].map(() => askingOrder(ARMS, records, 'minimize', { tag: 'a', number: 3 }));
  expect(orders[0]).toEqual(orders[1]);
  expect(orders[0]!.map(({ name }) => name).toSorted()).toEqual(['claude', 'tpe']);
});

test('the arm that pays more for its cost gets most experiments, and the other is never starved', () => {
  const tpePays = TAGS.map((tag) => shareOfTpe(simulate(tag, () => ({ claude: 0.1, tpe: 0.2 })).slice(100)));
  const claudePays = TAGS.map((tag) =>
    shareOfTpe(simulate(tag, () => ({ claude: 0.4, tpe: 0.05 })).slice(100)),
  );
  expect(mean(tpePays)).toBeGreaterThan(0.7);
  expect(mean(claudePays)).toBeLessThan(0.3);
  const never = shares(
    ARMS,
    simulate('never', () => ({ claude: 0, tpe: 0.5 })),
    'minimize',
  );
  expect(never[0]).toBeGreaterThanOrEqual(0.1);
  expect(never[0]).toBeLessThan(0.15);
});

test('it adapts when what pays changes', () => {
  const ends = TAGS.map((tag) => shares(ARMS, simulate(tag, turning), 'minimize')[1]!);
  expect(mean(ends)).toBeGreaterThan(0.7);
});

test('money spent without a proposal counts against the arm that cost it', () => {
  const equal = [baseline, tried(1, 'claude', 0.01, 0.2), tried(2, 'tpe', 0.01)];
  const [before] = shares(ARMS, equal, 'minimize');
  const [after] = shares(ARMS, [...equal.slice(0, 2), tried(2, 'tpe', 0.01, 2)], 'minimize');
  expect(after).toBeLessThan(before!);
});

test('for a metric to maximise, a higher score is a gain', () => {
  const grown = { ...tried(1, 'claude', -0.1), verdict: 'keep' as const };
  const [claude, tpe] = shares(ARMS, [baseline, grown, tried(2, 'tpe', 0)], 'maximize');
  expect(claude).toBeGreaterThan(tpe!);
});
