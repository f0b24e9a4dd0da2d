/** What `compare` shows: a table with a row a study, and the curves as text. */
import type { Band, StudyFigures } from '../../domain/compare';
import { dollarText } from '../../domain/limits';
import { cleanLine, colour } from '../output';
import { scoreCell } from './numbers';
import { table } from './table';

const HEIGHT = 10;
const WIDTH = 60;
const AXIS = 8;

export function comparison(
  figures: readonly StudyFigures[],
  bands: readonly Band[],
  differing: readonly string[],
): string {
  const warning = colour.red(`NOT COMPARABLE: they differ in ${differing.join('; ')}`);
  return [
    ...(differing.length === 0 ? [] : [warning]),
    outcomes(figures),
    costs(figures),
    `Best gain so far against experiments, in % of the baseline\n${plot(bands)}\n${legend(bands)}`,
  ].join('\n\n');
}

/** What came of each study. */
function outcomes(figures: readonly StudyFigures[]): string {
  const columns = [
    { head: 'study' },
    ...['gain', 'best', 'experiments', 'kept', 'discarded', 'crashed', 'rejected'].map(right),
    { head: 'researcher' },
  ];
  const rows = figures.map((study) => ({
    cells: [
      study.name,
      percent(study.gain),
      scoreCell(study.best),
      String(study.experiments),
      String(study.kept),
      String(study.discarded),
      String(study.crashed),
      String(study.rejected),
      study.kind,
    ],
  }));
  return table(columns, rows);
}

/** What each study cost. */
function costs(figures: readonly StudyFigures[]): string {
  const columns = [
    { head: 'study' },
    ...['GPU-hours', 'dollars', 'tokens', 'gain/$', 'gain/GPU-hour', 'unproposed', 'repeats'].map(right),
  ];
  const rows = figures.map((study) => ({
    cells: [
      study.name,
      String(Number(study.gpuHours.toPrecision(3))),
      study.dollars === 0 ? '–' : dollarText(study.dollars),
      countText(study.tokens),
      percent(study.gainPerDollar),
      percent(study.gainPerGpuHour),
      String(study.withoutProposal),
      String(study.repeatsRefused),
    ],
  }));
  return table(columns, rows);
}

const right = (head: string) => ({ head, align: 'right' as const });

const percent = (share: number | null): string =>
  share === null ? '–' : `${String(Number((100 * share).toPrecision(3)))} %`;

function countText(count: number): string {
  if (count === 0) return '–';
  return count < 1e6 ? `${Math.round(count / 1e3)} k` : `${(count / 1e6).toFixed(1)} M`;
}

/** A letter for each kind at its mean, dots for its band; where several meet, the first one shows. */
function plot(bands: readonly Band[]): string {
  const longest = Math.max(1, ...bands.map(({ points }) => points.length - 1));
  const top = Math.max(...bands.flatMap(({ points }) => points.map(({ mean, spread }) => mean + spread)), 0);
  const scale = top === 0 ? 1 : top;
  const rows = Array.from({ length: HEIGHT }, () => Array.from({ length: WIDTH }, () => ' '));
  const rowOf = (gain: number) => Math.round((1 - Math.min(Math.max(gain / scale, 0), 1)) * (HEIGHT - 1));
  const draw = (each: (band: Band, index: number, mean: number, spread: number, column: number) => void) => {
    for (const [index, band] of [...bands.entries()].toReversed()) {
      for (let column = 0; column < WIDTH; column++) {
        const point = band.points[Math.round((column / (WIDTH - 1)) * longest)];
        if (point !== undefined) each(band, index, point.mean, point.spread, column);
      }
    }
  };
  const put = (row: number, column: number, mark: string) => {
    const line = rows[row];
    if (line !== undefined) line[column] = mark;
  };
  draw((_band, _index, mean, spread, column) => {
    if (spread === 0) return;
    for (let row = rowOf(mean + spread); row <= rowOf(mean - spread); row++) put(row, column, '·');
  });
  draw((_band, index, mean, _spread, column) => put(rowOf(mean), column, letter(index)));
  const lines = rows.map((line, row) =>
    `${axisText(scale * (1 - row / (HEIGHT - 1)))} ┤${line.join('')}`.trimEnd(),
  );
  const end = String(longest);
  return [
    ...lines,
    `${' '.repeat(AXIS)} └${'─'.repeat(WIDTH)}`,
    `${' '.repeat(AXIS + 2)}0${end.padStart(WIDTH - 1)}`,
  ].join('\n');
}

const axisText = (gain: number): string => `${(100 * gain).toPrecision(3)} %`.padStart(AXIS);

const letter = (index: number): string => String.fromCodePoint('a'.codePointAt(0)! + (index % 26));

function legend(bands: readonly Band[]): string {
  return bands
    .map(({ kind, studies, points }, index) => {
      const last = points.at(-1);
      const end =
        last === undefined
          ? 'no score yet'
          : `${percent(last.mean)}${studies.length > 1 ? ` ± ${percent(last.spread)}` : ''} at #${last.experiment}`;
      const count = studies.length === 1 ? '' : `, ${studies.length} studies`;
      return `  ${letter(index)}  ${cleanLine(`${kind}${count}: ${end}`)}`;
    })
    .join('\n');
}
