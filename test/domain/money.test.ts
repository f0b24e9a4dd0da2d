import * as fc from 'fast-check';
import { dollarsLeft, limitReached, NOTHING_SPENT, UNLIMITED } from '../../src/domain/limits';
import { addUsage, costAtMost, costOf, gpuCost, noUsage, type Usage } from '../../src/domain/money';

const PRICE = { input: 3, cacheWrite: 3.75, cacheWriteHour: 6, cacheRead: 0.3, output: 15 };

const usages: fc.Arbitrary<Usage> = fc
  .tuple(fc.nat(1e6), fc.nat(1e6), fc.nat(1e6), fc.nat(1e6), fc.nat(1e5))
  .map(([input, cacheWrite, cacheWriteHour, cacheRead, output]) => ({
    ...noUsage('m'),
    calls: 1,
    input,
    cacheWrite,
    cacheWriteHour,
    cacheRead,
    output,
  }));

test('each kind of token has its price', () => {
  const usage = {
    model: 'm',
    calls: 1,
    input: 1e6,
    cacheWrite: 1e6,
    cacheWriteHour: 1e6,
    cacheRead: 1e6,
    output: 1e6,
  };
  expect(costOf(usage, PRICE)).toBeCloseTo(3 + 3.75 + 6 + 0.3 + 15);
});

test('no call costs more than what was reserved for it, and costs add up', () => {
  fc.assert(
    fc.property(usages, usages, (a, b) => {
      const input = a.input + a.cacheWrite + a.cacheWriteHour + a.cacheRead;
      expect(costOf(a, PRICE)).toBeLessThanOrEqual(costAtMost(input, a.output, PRICE) + 1e-9);
      expect(costOf(addUsage(a, b), PRICE)).toBeCloseTo(costOf(a, PRICE) + costOf(b, PRICE), 6);
    }),
  );
});

test("the next experiment's GPU time is set aside before anything is spent on proposing", () => {
  const limits = { ...UNLIMITED, dollars: 2 };
  const aside = 1800;
  expect(gpuCost(1800, 3)).toBe(1.5);
  expect(dollarsLeft(limits, { ...NOTHING_SPENT, dollars: 0.25 }, aside, 3)).toBeCloseTo(0.25);
  expect(dollarsLeft(limits, { ...NOTHING_SPENT, dollars: 1 }, aside, 3)).toBe(0);
  expect(dollarsLeft(UNLIMITED, NOTHING_SPENT, aside, 3)).toBeNull();
  expect(limitReached(limits, { ...NOTHING_SPENT, dollars: 0.25 }, aside, 3)).toBeNull();
  expect(limitReached(limits, { ...NOTHING_SPENT, dollars: 0.5 }, aside, 3)).toBe(
    'dollars limit: $0.50 of $2.00 spent, $1.50 are set aside for the GPU time of the next experiment',
  );
});
