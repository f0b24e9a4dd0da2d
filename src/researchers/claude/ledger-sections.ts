/** The ledger as sections of the prompt. Each section gets a number of tokens and drops its least useful lines first. */
import type { ExperimentRecord, Idea } from '../../domain/experiment';
import type { View } from './history-view';
import { fenced, oneLine } from './quote';
import { diffSummary, gainOf, gainText, recordLine, resultText } from './record-text';
import { estimateTokens } from './tokens';

/** Tokens of a heading with its introduction and fences. */
const HEADING = 70;
/** Characters. */
const LONGEST_DIFF = 1200;
/** Characters from the end of the last crash's output. */
const LONGEST_TAIL = 1000;
const NEWEST_KEPT = 40;

/** The first texts, as many as fit. */
function fit(texts: readonly string[], tokens: number): string[] {
  let left = tokens - HEADING;
  const fitting: string[] = [];
  for (const text of texts) {
    left -= estimateTokens(text) + 2;
    if (left < 0) break;
    fitting.push(text);
  }
  return fitting;
}

const section = (heading: string, lines: readonly string[]): string =>
  lines.length === 0 ? '' : `# ${heading}\n${fenced(lines.join('\n'))}`;

/** The chain of kept changes; the oldest are dropped first. */
export function gainsSection(view: View, tokens: number): string {
  const { kept, scale } = view;
  const lines = kept.slice(-NEWEST_KEPT).map((record) => {
    const gain = gainText(record, scale);
    return `#${record.number} ${resultText(record.score, scale)}${gain === '' ? '' : ` (${gain}${confidence(record, view)})`} ${JSON.stringify(oneLine(record.title, 140))}`;
  });
  return section(
    'Kept changes since the baseline (each from one run unless it says more)',
    fit(lines.toReversed(), tokens).toReversed(),
  );
}

/** How far to trust a gain: the number of runs, and the gain as a multiple of the noise. */
function confidence(record: ExperimentRecord, { noise, scale }: View): string {
  const runs = record.runs.filter(({ score }) => score !== null).length;
  const gain = gainOf(record, scale) ?? 0;
  const sigmas = noise === null || noise === 0 ? '' : `, ${(gain / noise).toFixed(1)} times the noise`;
  return `${runs > 1 ? `, ${runs} runs` : ''}${sigmas}`;
}

/** Older experiments as a table of lines. */
export function settledSection({ settled, scale }: View, tokens: number): string {
  const lines = settled.map((record) => recordLine(record, scale));
  const shown = fit(lines.toReversed(), tokens).toReversed();
  const left = lines.length - shown.length;
  const note = left === 0 ? '' : `, without the first ${left} (show_experiment shows them)`;
  return section(`Experiments up to #${settled.at(-1)?.number ?? 0}${note}`, shown);
}

/** The last experiments, one line each, the newest with their patches; the last crash with the end of its output. */
export function attempts(view: View, diffs: ReadonlyMap<string, string>, tokens: number): string {
  const newest = view.recent.toReversed();
  const lines = newest.map((record) => recordLine(record, view.scale));
  const crash = newest.find(({ failure }) => failure !== null);
  let spare = tokens - HEADING - lines.reduce((sum, line) => sum + estimateTokens(line) + 2, 0);
  const texts = newest.map((record, index) => {
    const line = lines[index] ?? '';
    const whole = `${withDiff(record, view, diffs)}${record === crash ? tailOf(record) : ''}`;
    const more = estimateTokens(whole) - estimateTokens(line);
    if (more > spare) return line;
    spare -= more;
    return whole;
  });
  return section('The last experiments, with their changes', fit(texts, tokens).toReversed());
}

export function nearMissSection(view: View, diffs: ReadonlyMap<string, string>, tokens: number): string {
  const recent = new Set(view.recent);
  const texts = view.nearMisses.map((record) =>
    // The section above may already show its patch.
    recent.has(record) ? recordLine(record, view.scale) : withDiff(record, view, diffs),
  );
  return section('Near misses: discarded changes, closest to their incumbent first', fit(texts, tokens));
}

export function failuresSection({ failures, scale }: View, tokens: number): string {
  const lines = failures.flatMap(({ reason, records }) => [
    `${reason}: ${records.length}`,
    ...records.slice(-3).map((record) => `  ${recordLine(record, scale)}`),
  ]);
  return section('Crashes by cause', fit(lines, tokens));
}

export function untriedSection(
  constants: readonly string[],
  directions: readonly string[],
  tokens: number,
): string {
  const half = Math.floor(tokens / 2);
  const names = fit(constants, half);
  const phrases = fit(
    directions.map((phrase) => `- ${phrase}`),
    half,
  );
  const lines = [
    ...(names.length === 0 ? [] : [`constants that no experiment has changed: ${names.join(', ')}`]),
    ...(phrases.length === 0 ? [] : ['directions in the program that no title mentions:', ...phrases]),
  ];
  return section('Never tried', lines);
}

export function lessonsSection(lessons: readonly string[], tokens: number): string {
  const learnt = lessons.map((lesson) => `- ${oneLine(lesson, 400)}`);
  const shown = fit(learnt, tokens);
  const left = learnt.length - shown.length;
  const note = left === 0 ? '' : `, without the last ${left} (no room)`;
  return section(`Lessons so far${note}`, shown);
}

export function backlogSection(ideas: readonly Idea[], tokens: number): string {
  // The user's ideas first, then the researchers', newest first.
  const ordered = [
    ...ideas.filter(({ from }) => from === 'human'),
    ...ideas.filter(({ from }) => from === 'researcher').toReversed(),
  ];
  const open = ordered.map(
    ({ id, text, from }) => `${id}${from === 'human' ? ' (from the user)' : ''}: ${oneLine(text, 400)}`,
  );
  return section('The backlog of ideas', fit(open, tokens));
}

function tailOf({ failure }: ExperimentRecord): string {
  const tail = failure?.tail.trim() ?? '';
  return tail === '' ? '' : `\n  end of its output:\n${tail.slice(-LONGEST_TAIL)}`;
}

function withDiff(record: ExperimentRecord, { scale }: View, diffs: ReadonlyMap<string, string>): string {
  const patch = diffSummary(diffs.get(record.commit) ?? '', LONGEST_DIFF);
  const hypothesis = record.hypothesis === '' ? '' : `\n  why: ${oneLine(record.hypothesis, 300)}`;
  const expected = oneLine(record.research?.expected ?? '', 120);
  return `${recordLine(record, scale)}${hypothesis}${expected === '' ? '' : `\n  expected: ${expected}`}${patch === '' ? '' : `\n${patch}`}`;
}
