/** Texts that others wrote, put into a prompt as data: bounded, and without a way out of their fence. */
import { headAndTail } from '../../process/excerpt';
import { estimateTokens } from './tokens';

/** The beginning and the end of a text, at most so many tokens in all. */
export function cut(text: string, tokens: number): string {
  if (estimateTokens(text) <= tokens) return text.toWellFormed();
  let chars = Math.max(0, Math.floor((text.length * tokens) / estimateTokens(text)));
  for (;;) {
    const shorter = headAndTail(text, chars);
    if (chars < 2) return '';
    // Between the halves of an emoji it would leave what the API refuses.
    if (estimateTokens(shorter) <= tokens) return shorter.toWellFormed();
    chars = Math.floor(chars * 0.8);
  }
}

/** One line of at most so many characters. */
export function oneLine(text: string, length: number): string {
  const line = text.replace(/[\s\p{Cc}]+/gu, ' ').trim();
  const shorter = line.length <= length ? line : `${line.slice(0, length - 1)}…`;
  return shorter.toWellFormed();
}

/** The text between two fences that are longer than any in it. */
export function fenced(text: string, language = ''): string {
  const longest = Math.max(2, ...(text.match(/`+/g) ?? []).map((run) => run.length));
  const fence = '`'.repeat(longest + 1);
  return `${fence}${language}\n${text.endsWith('\n') || text === '' ? text : `${text}\n`}${fence}`;
}
