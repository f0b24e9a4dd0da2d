/** Tables without borders that fit the terminal: the last column gives way. */
import { cleanLine, colour } from '../output';

interface Column {
  head: string;
  align?: 'left' | 'right';
}

interface Row {
  cells: string[];
  /** Colours each cell of the row. */
  paint?: ((text: string) => string) | undefined;
}

const GAP = '  ';
const NARROWEST = 10;
/** A line much longer than this is hard to read, however wide the terminal is. */
const WIDEST = 140;
/** Columns to print in: the terminal's, or 80 in a pipe, which has no width. */
export function terminalWidth(): number {
  const { columns, isTTY } = process.stdout;
  return isTTY && columns > 0 ? Math.min(columns, WIDEST) : 80;
}

/** Cells are cleaned here; rows never wrap. */
export function table(columns: Column[], rows: Row[], width = terminalWidth()): string {
  const cells = rows.map((row) => row.cells.map((cell) => cleanLine(cell)));
  const widths = columns.map(({ head }, column) =>
    cells.reduce((widest, row) => Math.max(widest, columnsOf(row[column] ?? '')), head.length),
  );
  const last = widths.length - 1;
  const left = widths.slice(0, last).reduce((rest, each) => rest - each - GAP.length, width);
  widths[last] = Math.max(NARROWEST, Math.min(widths[last] ?? 0, left));

  const line = (texts: string[], paint: (text: string) => string): string =>
    texts
      .map((text, column) => {
        const room = widths[column] ?? 0;
        const fitted = cut(text, room);
        const space = ' '.repeat(Math.max(0, room - columnsOf(fitted)));
        // Painted without the space, which ends some lines and is taken off them.
        return columns[column]?.align === 'right' ? space + paint(fitted) : paint(fitted) + space;
      })
      .join(GAP)
      .trimEnd();
  const heads = columns.map(({ head }) => head);
  return [
    line(heads, colour.dim),
    ...rows.map(({ paint = (text) => text }, index) => line(cells[index] ?? [], paint)),
  ].join('\n');
}

/** Characters that a terminal shows two columns wide: East Asian ones and emoji. */
const WIDE =
  /[\u1100-\u115F\u2E80-\uA4CF\uAC00-\uD7A3\uF900-\uFAFF\uFE30-\uFE6F\uFF00-\uFF60\uFFE0-\uFFE6]|\p{Emoji_Presentation}|[\u{20000}-\u{3FFFD}]/u;
const NARROW = /^[\u0020-\u024F\u2010-\u2027\u2190-\u21FF\u2212]*$/u;

/** Columns that a text takes up in a terminal. */
function columnsOf(text: string): number {
  if (NARROW.test(text)) return text.length;
  return Array.from(text).reduce((sum, character) => sum + widthOf(character), 0);
}

const widthOf = (character: string): number =>
  /\p{Mark}/u.test(character) ? 0 : WIDE.test(character) ? 2 : 1;

function cut(text: string, room: number): string {
  if (columnsOf(text) <= room) return text;
  if (NARROW.test(text)) return `${text.slice(0, room - 1)}…`;
  let [fitted, taken] = ['', 0];
  for (const character of Array.from(text)) {
    taken += widthOf(character);
    if (taken > room - 1) break;
    fitted += character;
  }
  return `${fitted}…`;
}
