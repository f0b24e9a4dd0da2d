import * as fc from 'fast-check';
import { scoreText, scoreTexts } from '../../src/domain/numbers';

test('scores of any size keep their significant digits', () => {
  expect([3.1e-6, 1e-9, 0.97, 12.5, 0, 1.5e9].map((score) => scoreText(score))).toEqual([
    '0.000003100',
    '1.000e-9',
    '0.9700',
    '12.5000',
    '0.0000',
    '1.500e+9',
  ]);
  expect([2.9e-6, 0.97].map((score) => scoreText(score, 6))).toEqual(['0.00000290000', '0.970000']);
});

test('two scores that differ never look the same', () => {
  expect(scoreTexts(0.97123, 0.97121)).toEqual(['0.97123', '0.97121']);
  expect(scoreTexts(0.97, 0.97)).toEqual(['0.9700', '0.9700']);
  const score = fc.double({ noNaN: true, noDefaultInfinity: true, min: -1e12, max: 1e12 });
  fc.assert(
    fc.property(score, score, (a, b) => {
      fc.pre(Math.abs(a - b) > 1e-15 * Math.max(Math.abs(a), Math.abs(b)) && Math.abs(a - b) > 1e-16);
      const [first, second] = scoreTexts(a, b);
      expect(first).not.toBe(second);
    }),
  );
});
