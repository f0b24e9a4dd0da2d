/** Excerpts of long texts, for messages and transcripts. */

/** The last line with text, trimmed: most programs print the reason of a failure there. Empty for an empty text. */
export const lastLine = (text: string): string => lastLines(text, 1).trim();

/** The last `count` lines, without empty lines at the end. */
export const lastLines = (text: string, count: number): string =>
  text.trimEnd().split('\n').slice(-count).join('\n');

/** The beginning and the end of a text longer than `characters`, half of that each. */
export function headAndTail(text: string, characters: number): string {
  const half = Math.floor(characters / 2);
  if (text.length <= characters) return text;
  return `${text.slice(0, half)}\n… ${text.length - 2 * half} characters left out …\n${text.slice(text.length - half)}`;
}
