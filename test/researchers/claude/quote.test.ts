import { cut, oneLine } from '../../../src/researchers/claude/quote';

test.each([118, 119, 120, 121])('no text is cut in the middle of a character: at %i', (length) => {
  const text = '🚀'.repeat(400);
  expect(oneLine(text, length).isWellFormed()).toBe(true);
  expect(cut(text, length).isWellFormed()).toBe(true);
  expect(cut('\ud83d', length).isWellFormed()).toBe(true);
});
