import { hintsSection } from '../../../src/researchers/claude/hints-section';
import { estimateTokens } from '../../../src/researchers/claude/tokens';

const HINTS = ['a thought that is longer than there is room for, as it often is', 'short'];

test.each([-100, 0, 1, 20, 30, 40, 60, 1000])(
  '%i tokens are held, and what is not there was not heard',
  (tokens) => {
    const { text, shown } = hintsSection(HINTS, tokens);
    expect(estimateTokens(text)).toBeLessThanOrEqual(Math.max(0, tokens));
    expect(HINTS.slice(0, shown.length)).toEqual(shown);
    expect(text === '').toBe(shown.length === 0);
  },
);
