import { changeText } from '../../src/domain/status';

it.each([
  [0.97, 1, '−3.0 %'],
  [-0.5, -1, '+50.0 %'],
  [1, 1, ''],
  [1, null, ''],
  [1, 0, ''],
  [5848.2, 0.1, ''],
  [Number.MAX_VALUE, Number.MIN_VALUE, ''],
])('the change to %d from %d is "%s": what says nothing is empty', (score, reference, text) => {
  expect(changeText(score, reference)).toBe(text);
});
