/**
 * Renders a recorded terminal session as SVG. To make the picture in README.md:
 *   script -q -c 'stty cols 108; node scripts/start.mjs' docs/pictures/first-study.typescript
 *   node scripts/terminal-picture.mjs docs/pictures/first-study.typescript '$ npm start' '#5 ' > docs/pictures/first-study.svg
 * The last argument is the beginning of the picture's first line; an ellipsis replaces the lines before it.
 */
import { readFileSync } from 'node:fs';

const COLUMNS = 108;
const CELL = { width: 7.8, height: 18 }; // pixels of one character at FONT_SIZE
const FONT_SIZE = 13;
const PADDING = 16;
const COLOURS = { 31: '#f47067', 32: '#8ddb8c', 33: '#f2cc60', 36: '#76e3ea' };
const PLAIN = { fill: '#d0d7de', weight: 'normal', opacity: 1 };

const [file, prompt, begin] = process.argv.slice(2);

/** The terminal's final lines, as spans of one style each. Knows only the escape sequences that our commands print. */
function finalLines(recorded) {
  const lines = [];
  let line = [];
  let style = PLAIN;
  // oxlint-disable-next-line no-control-regex -- escape sequences are control characters
  for (const [part] of recorded.matchAll(/\u001B\[[0-?]*[ -/]*[@-~]|\n|[^\u001B\r\n]+/gu)) {
    if (part === '\n') {
      lines.push(line);
      line = [];
    } else if (part.endsWith('K') && part.startsWith('\u001B')) line = [];
    else if (part.startsWith('\u001B')) style = part.endsWith('m') ? styled(style, part.slice(2, -1)) : style;
    else if (!part.startsWith('Script ')) line.push({ text: part, style });
  }
  return lines;
}

function styled(style, codes) {
  return codes.split(';').reduce((now, code) => {
    if (code === '1') return { ...now, weight: 'bold' };
    if (code === '2') return { ...now, opacity: 0.65 };
    if (code === '22') return { ...now, weight: PLAIN.weight, opacity: PLAIN.opacity };
    return { ...now, fill: COLOURS[code] ?? PLAIN.fill };
  }, style);
}

const escaped = (text) => text.replace(/&/gu, '&amp;').replace(/</gu, '&lt;').replace(/>/gu, '&gt;');

function svgLine(line, row) {
  let column = 0;
  const y = PADDING + row * CELL.height + FONT_SIZE;
  return line.map(({ text, style: { fill, weight, opacity } }) => {
    const x = (PADDING + column * CELL.width).toFixed(1);
    const shown = text.slice(0, COLUMNS - column);
    column += shown.length;
    // The explicit length keeps columns aligned in every font.
    const length = (shown.length * CELL.width).toFixed(1);
    return shown.trim() === ''
      ? ''
      : `<text x="${x}" y="${y}" textLength="${length}" fill="${fill}" font-weight="${weight}" opacity="${opacity}" xml:space="preserve">${escaped(shown)}</text>\n`;
  });
}

const all = finalLines(readFileSync(file, 'utf8'));
const first = all.findIndex((line) => line[0]?.text.startsWith(begin));
if (first === -1) throw new Error(`no line of ${file} begins with '${begin}'`);
const shown = [
  [{ text: prompt, style: { ...PLAIN, weight: 'bold' } }],
  [{ text: '…', style: PLAIN }],
  ...all.slice(first),
];
const width = Math.ceil(2 * PADDING + COLUMNS * CELL.width);
const height = 2 * PADDING + shown.length * CELL.height;
process.stdout.write(
  `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" ` +
    `font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace" font-size="${FONT_SIZE}">\n` +
    `<rect width="100%" height="100%" rx="8" fill="#161b22"/>\n${shown.flatMap(svgLine).join('')}</svg>\n`,
);
