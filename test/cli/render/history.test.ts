import { historyTable, outcome } from '../../../src/cli/render/history';
import { CONFIG, summary } from '../snapshots';

const keep = (number: number, score: number) => summary(number, { verdict: 'keep', reason: 'better', score });

describe('the table of experiments', () => {
  it('compares each with the best kept when it was tried', () => {
    const rows = historyTable([summary(0), keep(1, 1.9), summary(2, { score: 1.95 }), keep(3, 1.8)], CONFIG, {
      width: 80,
    }).split('\n');
    expect(rows.map((row) => row.trim().split(/ {2,}/).slice(1, 4))).toEqual([
      ['val_bpb', 'vs best', 'verdict'],
      ['2.0000', 'keep', '330'],
      ['1.9000', '−5.0 %', 'keep'],
      ['1.9500', '+2.6 %', 'discard'],
      ['1.8000', '−5.3 %', 'keep'],
    ]);
  });

  it('knows the best of before, when it shows the last rows only', () => {
    const all = [summary(0), keep(1, 1.9), summary(2, { score: 1.95 })];
    const rows = historyTable(all, CONFIG, { width: 80, last: 1 }).split('\n');
    expect(rows.slice(1).map((row) => row.trim().split(/ {2,}/).slice(0, 3))).toEqual([
      ['2', '1.9500', '+2.6 %'],
    ]);
  });

  it('has its columns under each other, also when titles are wide or long', () => {
    const long = [
      summary(0),
      summary(1, { title: '日本語'.repeat(20) }),
      summary(2, { title: 'word '.repeat(50) }),
    ];
    const [head = '', ...rows] = historyTable(long, CONFIG, { width: 80 }).split('\n');
    for (const row of rows) expect(row[head.indexOf('what') - 1]).toBe(' ');
    expect(rows[2]).toHaveLength(80);
  });
});

describe('the outcome', () => {
  const lower = { metric: 'val_bpb', direction: 'minimize' as const };

  it('is the gain over the baseline', () => {
    expect(outcome([summary(0), keep(1, 1.9), summary(2), keep(3, 1.8)], lower)).toBe(
      '2 of 3 changes kept: val_bpb 2.0000 → 1.8000 (−10.0 %) at #3.',
    );
  });

  it('admits that nothing was better', () => {
    expect(outcome([summary(0), summary(1), summary(2)], lower)).toBe(
      'None of the 2 changes beat the baseline (val_bpb 2.0000).',
    );
  });

  it('goes up where more is better', () => {
    expect(
      outcome([summary(0, { score: 0.5 }), keep(1, 0.6)], { metric: 'accuracy', direction: 'maximize' }),
    ).toBe('1 of 1 changes kept: accuracy 0.5000 → 0.6000 (+20.0 %) at #1.');
  });

  it('compares with nothing when the baseline has no score, or is not there yet', () => {
    expect(outcome([summary(0, { verdict: 'crash', reason: 'oom', score: null })], lower)).toContain(
      'nothing to compare with',
    );
    expect(outcome([], lower)).toBe('No experiment is finished yet.');
  });
});
