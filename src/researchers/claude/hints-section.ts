/** The user's hints for this proposal. They have priority over the news; a hint is shown whole or waits for the next proposal. */
import { redact } from '../redact';
import { cut, oneLine } from './quote';
import { estimateTokens } from './tokens';

const HEADING = '# Hints from the user for this proposal';
const HEADING_TOKENS = estimateTokens(HEADING) + 1;
/** Characters of the longest hint. */
const LONGEST = 2000;

const lineOf = (hint: string): string => `- ${oneLine(redact(hint), LONGEST)}`;

/** Tokens that the oldest hint needs to be shown whole; 0 without a hint. */
export function oldestHintTokens([oldest]: readonly string[]): number {
  return oldest === undefined ? 0 : HEADING_TOKENS + estimateTokens(lineOf(oldest)) + 1;
}

/**
 * As many hints as fit whole, oldest first. The oldest is cut if it does not fit, or it would wait for ever.
 * @returns the section, and the hints that it shows
 */
export function hintsSection(hints: readonly string[], tokens: number): { text: string; shown: string[] } {
  let left = tokens - HEADING_TOKENS;
  const lines: string[] = [];
  for (const line of hints.map(lineOf)) {
    const needed = estimateTokens(line) + 1;
    const fitting = lines.length === 0 && needed > left ? cut(line, left - 1) : line;
    left -= estimateTokens(fitting) + 1;
    if (left < 0 || fitting === '') break;
    lines.push(fitting);
  }
  return lines.length === 0
    ? { text: '', shown: [] }
    : { text: [HEADING, ...lines].join('\n'), shown: hints.slice(0, lines.length) };
}
