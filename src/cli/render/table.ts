/** Tables without borders that fit the terminal: the last column gives way. */
import Table from 'cli-table3';
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
const BORDERLESS = Object.fromEntries(
  ['top', 'bottom', 'left', 'right', 'mid'].flatMap((side) =>
    [side, `${side}-mid`, `${side}-left`, `${side}-right`].map((part) => [part, '']),
  ),
);

/** Columns to print in: the terminal's, or 80 in a pipe, where nobody says. */
export function terminalWidth(): number {
  const { columns, isTTY } = process.stdout;
  return isTTY && columns > 0 ? Math.min(columns, WIDEST) : 80;
}

/** Cells are cleaned here; rows never wrap. */
export function table(columns: Column[], rows: Row[], width = terminalWidth()): string {
  const cells = rows.map((row) => row.cells.map((cell) => cleanLine(cell)));
  const widths = columns.map(({ head }, column) =>
    Math.max(head.length, ...cells.map((row) => row[column]?.length ?? 0)),
  );
  const last = widths.pop() ?? 0;
  const left = width - widths.reduce((sum, each) => sum + each + GAP.length, 0);
  const printed = new Table({
    head: columns.map(({ head }) => colour.dim(head)),
    colWidths: [...widths, Math.max(NARROWEST, Math.min(last, left))],
    colAligns: columns.map(({ align }) => align ?? 'left'),
    chars: { ...BORDERLESS, middle: GAP },
    style: { 'padding-left': 0, 'padding-right': 0, head: [], border: [] },
  });
  rows.forEach(({ paint = (text) => text }, index) => printed.push((cells[index] ?? []).map(paint)));
  return printed
    .toString()
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n');
}
