import { parseBudgetChange, parseHint, parseStop } from '../../src/domain/requests';

test('budgets: absolute values, null clears, absent keeps', () => {
  expect(parseBudgetChange({ experiments: 200, gpuHours: null })).toEqual({
    experiments: 200,
    gpuHours: null,
  });
});

test.each([
  [{ experiments: -1 }, 'adjustBudget: experiments: expected more than 0'],
  [{ experiments: 1.5 }, 'adjustBudget: experiments: expected a whole number'],
  [{ hours: '8' }, 'adjustBudget: hours: expected a number, or null for no limit'],
  [{ hour: 8 }, 'adjustBudget: Unrecognized key: "hour"'],
  [{}, 'adjustBudget: expected at least one of experiments, gpuHours, hours'],
  [null, 'adjustBudget: '],
  [200, 'adjustBudget: '],
])('budget %j is refused with the reason', (request, reason) => {
  expect(() => parseBudgetChange(request)).toThrow(reason);
});

test('stop: nothing means after the running experiment', () => {
  expect([undefined, null, {}, { now: true }].map((request) => parseStop(request).now)).toEqual([
    false,
    false,
    false,
    true,
  ]);
  expect(() => parseStop({ now: 'yes' })).toThrow('stop: ');
});

test('a hint is a text, plain or under "text"', () => {
  expect(parseHint('  try a smaller batch ')).toBe('try a smaller batch');
  expect(parseHint({ text: 'try it' })).toBe('try it');
  for (const bad of ['', '   ', 7, {}, null, 'x'.repeat(2001)])
    expect(() => parseHint(bad)).toThrow(/^hint: expected (a text|at most)/);
});
