import * as fc from 'fast-check';
import { BadRequest, parseBudgetChange, parseHint, parseStop } from '../../src/domain/requests';

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

const isLimit = (limit: unknown) =>
  limit === null || (typeof limit === 'number' && limit > 0 && limit < Infinity);
const isChange = (change: object) => Object.values(change).every(isLimit);
const isStop = ({ now }: { now: unknown }) => typeof now === 'boolean';
const isHint = (text: string) => text.trim() === text && text !== '' && text.length <= 2000;

test.each([
  ['adjustBudget', parseBudgetChange, isChange],
  ['stop', parseStop, isStop],
  ['hint', parseHint, isHint],
] as const)('%s: anything at all is taken whole or refused in words', (_name, parse, isRight) => {
  const outcomeOf = (input: unknown): boolean => {
    try {
      return isRight(parse(input) as never);
    } catch (error) {
      return error instanceof BadRequest;
    }
  };
  fc.assert(
    fc.property(fc.anything({ withNullPrototype: true, withBigInt: true, withDate: true }), (input) => {
      expect(outcomeOf(input)).toBe(true);
    }),
  );
});

test('a refusal that quotes what it refuses stays short', () => {
  const huge = 'x'.repeat(1_500_000);
  const refusals = [
    () => parseStop({ [huge]: true }),
    () => parseBudgetChange({ [huge]: 1 }),
    () => parseHint(huge),
  ];
  for (const refused of refusals) expect(refused).toThrow(/^(?:stop|adjustBudget|hint): .{1,600}$/u);
});
