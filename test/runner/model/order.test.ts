import { assert, integer, nat, property, tuple } from 'fast-check';
import { rowAt } from '../../../src/runner/model/order';

const epoch = (seed: number, rows: number, number = 0): number[] =>
  Array.from({ length: rows }, (_, i) => rowAt(seed, rows, number * rows + i));

describe('the order of the rows', () => {
  it('has every row once an epoch, whatever the seed and the number of rows', () => {
    const cases = tuple(integer({ min: 1, max: 0x7fff_ffff }), integer({ min: 1, max: 500 }), nat(5));
    assert(
      property(cases, ([seed, rows, number]) => {
        expect(new Set(epoch(seed, rows, number)).size).toBe(rows);
      }),
    );
  });

  it('is another one for another seed and another epoch, and the same for the same', () => {
    expect(epoch(1, 1000)).toEqual(epoch(1, 1000));
    expect(epoch(1, 1000)).not.toEqual(epoch(2, 1000));
    expect(epoch(1, 1000)).not.toEqual(epoch(1, 1000, 1));
  });

  it('stays inside a file of two billion rows', () => {
    const rows = 2 ** 31 - 1;
    for (let i = 0; i < 1000; i++) {
      const row = rowAt(42, rows, i * 1_000_003);
      expect(Number.isInteger(row) && row >= 0 && row < rows).toBe(true);
    }
  });

  it('puts any row anywhere: neighbours part, no place has a favourite', () => {
    const [rows, seeds] = [50, 4000];
    const first = Array.from({ length: rows }, () => 0);
    let neighbours = 0;
    for (let seed = 1; seed <= seeds; seed++) {
      first[rowAt(seed, rows, 0)]! += 1;
      neighbours += Number(Math.abs(rowAt(seed, rows, 0) - rowAt(seed, rows, 1)) === 1);
    }
    // Chi-squared with 49 degrees of freedom exceeds 86 once in 1000; 98 of 2450 pairs are neighbours.
    const expected = seeds / rows;
    expect(first.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0)).toBeLessThan(86);
    expect(neighbours / seeds).toBeCloseTo(0.04, 1.5);
  });
});
