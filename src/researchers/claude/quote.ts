/** Puts texts by other authors into a prompt as data: shortened, and fenced so that they cannot end their fence. */
import { headAndTail } from '../../process/excerpt';
import { estimateTokens } from './tokens';

/** The beginning and the end of a text, at most `tokens` tokens together; empty when not even the mark of the cut fits. */
export function cut(text: string, tokens: number): string {
  if (estimateTokens(text) <= tokens) return text.toWellFormed();
  let chars = Math.max(0, Math.floor((text.length * tokens) / estimateTokens(text)));
  for (;;) {
    const shorter = headAndTail(text, chars);
    if (chars < 2) return '';
    // The API refuses half of a surrogate pair.
    if (estimateTokens(shorter) <= tokens) return shorter.toWellFormed();
    chars = Math.floor(chars * 0.8);
  }
}

/** The text as one line of at most `length` characters. */
export function oneLine(text: string, length: number): string {
  const line = text.replace(/[\s\p{Cc}]+/gu, ' ').trim();
  const shorter = line.length <= length ? line : `${line.slice(0, length - 1)}…`;
  return shorter.toWellFormed();
}

/** The text as a code block whose fences are longer than any run of backticks in it. */
export function fenced(text: string, language = ''): string {
  const longest = Math.max(2, ...(text.match(/`+/g) ?? []).map((run) => run.length));
  const fence = '`'.repeat(longest + 1);
  return `${fence}${language}\n${text.endsWith('\n') || text === '' ? text : `${text}\n`}${fence}`;
}
