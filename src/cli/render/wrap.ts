/** Breaks a line between words, so that each part is at most `width` long; what follows the first is indented. */
export function wrap(text: string, width: number, indent = ''): string {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    const longer = line === '' ? word : `${line} ${word}`;
    if (longer.length + indent.length > width && line !== '') {
      lines.push(line);
      line = word;
    } else {
      line = longer;
    }
  }
  return [...lines, line].join(`\n${indent}`);
}

// oxlint-disable-next-line no-control-regex -- colours are control sequences
const COLOUR_OR_CHARACTER = /(\u001B\[[\d;]*m)|[^]/gu;

/** Cuts a line that may hold colours to `width` columns; the colours stay, so that none is left on. */
export function cut(text: string, width: number): string {
  let room = width;
  return text.replace(COLOUR_OR_CHARACTER, (match, isColour: string | undefined) =>
    isColour !== undefined || room-- > 0 ? match : '',
  );
}
