/** The ledger's parts as sections of the prompt, each within its share: what is least useful is left out first. */
import type { ExperimentRecord, Idea } from '../../domain/experiment';
import type { View } from './ledger';
import { fenced, oneLine } from './quote';
import { diffSummary, gainOf, gainText, recordLine, resultText } from './record-text';
import { estimateTokens } from './tokens';

/** A heading with its introduction, and fences. */
const HEADING = 70;
const LONGEST_DIFF = 1200;
/** Of the last crash's output, its end. */
const LONGEST_TAIL = 1000;
const NEWEST_KEPT = 40;

/** As many texts as fit, the first ones first. */
function fit(texts: readonly string[], tokens: number): string[] {
  let left = tokens - HEADING;
  const kept: string[] = [];
  for (const text of texts) {
    left -= estimateTokens(text) + 2;
    if (left < 0) break;
    kept.push(text);
  }
  return kept;
}

const section = (heading: string, lines: readonly string[]): string =>
  lines.length === 0 ? '' : `# ${heading}\n${fenced(lines.join('\n'))}`;

/** The chain of kept changes, newest kept longest. */
export function gainsSection(view: View, tokens: number): string {
  const { kept, scale } = view;
  const lines = kept.slice(-NEWEST_KEPT).map((record) => {
    const gain = gainText(record, scale);
    return `#${record.number} ${resultText(record.score, scale)}${gain === '' ? '' : ` (${gain}${confidence(record, view)})`} ${JSON.stringify(oneLine(record.title, 140))}`;
  });
  return section(
    'What was kept, from the baseline on (one run each, where no more are named)',
    fit(lines.toReversed(), tokens).toReversed(),
  );
}

/** How far a gain is to be believed: on how many runs it stands, and how large it is against the noise. */
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
  const note = left === 0 ? '' : `, without the first ${left} (show_experiment has them)`;
  return section(`Experiments up to #${settled.at(-1)?.number ?? 0}${note}`, shown);
}

/** The last experiments: all as lines, and the newest ones with what they changed; the last crash with its traceback. */
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
    // What stands above with its change is named only.
    recent.has(record) ? recordLine(record, view.scale) : withDiff(record, view, diffs),
  );
  return section('Near misses: discarded, closest first', fit(texts, tokens));
}

export function failuresSection({ failures, scale }: View, tokens: number): string {
  const lines = failures.flatMap(({ reason, records }) => [
    `${reason}: ${records.length}`,
    ...records.slice(-3).map((record) => `  ${recordLine(record, scale)}`),
  ]);
  return section('Crashes, by their cause', fit(lines, tokens));
}

export function untriedSection(
  constants: readonly string[],
  directions: readonly string[],
  tokens: number,
): string {
  const half = Math.floor(tokens / 2);
  const knobs = fit(constants, half);
  const phrases = fit(
    directions.map((phrase) => `- ${phrase}`),
    half,
  );
  const lines = [
    ...(knobs.length === 0 ? [] : [`constants that nobody has touched: ${knobs.join(', ')}`]),
    ...(phrases.length === 0 ? [] : ['directions of the program that no title speaks of:', ...phrases]),
  ];
  return section('What was never tried', lines);
}

export function lessonsSection(lessons: readonly string[], tokens: number): string {
  const learnt = lessons.map((lesson) => `- ${oneLine(lesson, 400)}`);
  const shown = fit(learnt, tokens);
  const left = learnt.length - shown.length;
  const note = left === 0 ? '' : `, without the last ${left}, for which there is no room`;
  return section(`Lessons so far${note}`, shown);
}

export function backlogSection(ideas: readonly Idea[], tokens: number): string {
  // People's ideas come first, then the newest.
  const ordered = [
    ...ideas.filter(({ from }) => from === 'human'),
    ...ideas.filter(({ from }) => from === 'researcher').toReversed(),
  ];
  const open = ordered.map(
    ({ id, text, from }) => `${id}${from === 'human' ? ' (from the human)' : ''}: ${oneLine(text, 400)}`,
  );
  return section('The backlog of ideas', fit(open, tokens));
}

function tailOf({ failure }: ExperimentRecord): string {
  const tail = failure?.tail.trim() ?? '';
  return tail === '' ? '' : `\n  the end of its output:\n${tail.slice(-LONGEST_TAIL)}`;
}

function withDiff(record: ExperimentRecord, { scale }: View, diffs: ReadonlyMap<string, string>): string {
  const patch = diffSummary(diffs.get(record.commit) ?? '', LONGEST_DIFF);
  const hypothesis = record.hypothesis === '' ? '' : `\n  why: ${oneLine(record.hypothesis, 300)}`;
  const expected = oneLine(record.research?.expected ?? '', 120);
  return `${recordLine(record, scale)}${hypothesis}${expected === '' ? '' : `\n  expected: ${expected}`}${patch === '' ? '' : `\n${patch}`}`;
}
