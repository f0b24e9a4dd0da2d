/** What `show` prints: one experiment. */
import { scoreTexts } from '../../domain/numbers';
import { gpuSeconds, secondsTaken, type ExperimentRecord, type ScoredRun } from '../../domain/experiment';
import type { Usage } from '../../domain/money';
import { APPROACH_TEXT } from '../../domain/plateau';
import { policyText } from '../../domain/policies/choice';
import { classText } from '../../domain/run-class';
import { changeText } from '../../domain/status';
import type { Edit } from '../../ledger/proposals';
import { clean, cleanLine, colour } from '../output';
import { VERDICT_COLOURS, verdictText } from './history';
import { durationText } from '../../domain/numbers';
import { scoreCell, shortHash } from './numbers';
import { budgetText } from '../../domain/budget';
import { table } from './table';

export interface Shown {
  tag: string;
  number: number;
  metric: string;
  /** null while it is under way. */
  record: ExperimentRecord | null;
  /** What the researcher proposed, while there is no record that says it. */
  proposed: { title: string; hypothesis: string } | null;
  commit: string | null;
  /** A patch; empty where nothing was changed. */
  diff: string;
  /** What was proposed, where it is not in the commit: not applied yet, or against a rule. */
  edits: Edit[];
  /** null on another host, or once the run's files are cleaned up. */
  log: { path: string; tail: string } | null;
}

export function showText(shown: Shown, width?: number): string {
  const { record, proposed, number, tag, log } = shown;
  const title = record?.title ?? proposed?.title ?? (number === 0 ? 'baseline' : 'not proposed yet');
  const sections = [`${colour.bold(`${tag} #${number} · ${cleanLine(title)}`)}\n${verdictLine(shown)}`];
  const hypothesis = clean(record?.hypothesis ?? proposed?.hypothesis ?? '').trim();
  if (hypothesis !== '') sections.push(hypothesis);
  const known = facts(shown);
  if (known !== '') sections.push(known);
  if (record !== null && record.runs.length > 0) sections.push(runTable(record, width));
  if (record !== null && record.failure !== null && record.failure.tail.trim() !== '') {
    sections.push(section('failure', quote(record.failure.tail)));
  }
  if (shown.diff !== '') sections.push(section('diff', paintDiff(clean(shown.diff).trimEnd())));
  if (shown.edits.length > 0)
    sections.push(section('proposed, not applied', paintDiff(editsText(shown.edits))));
  if (log !== null)
    sections.push(section(`log · ${log.path}`, quote(log.tail === '' ? '(nothing printed)' : log.tail)));
  return sections.join('\n\n');
}

function verdictLine({ record }: Shown): string {
  if (record === null) return colour.yellow('under way: no verdict yet');
  return `${VERDICT_COLOURS[record.verdict](verdictText(record))} · ${cleanLine(record.detail)}`;
}

function facts({ record, commit, metric }: Shown): string {
  const lines: [string, string][] = [];
  if (record !== null && record.score !== null) {
    const change = changeText(record.score, record.incumbentScore);
    const [score, before] = scoreTexts(record.score, record.incumbentScore ?? record.score);
    const against =
      record.incumbentScore === null ? '' : ` against ${before}${change === '' ? '' : ` (${change})`}`;
    lines.push([metric, `${score}${against}`]);
  }
  if (commit !== null)
    lines.push(['commit', record === null ? commit : `${commit} on ${shortHash(record.incumbent)}`]);
  if (record !== null) {
    const dollars = record.dollars === 0 ? '' : ` · $${record.dollars.toFixed(4)}${assumedText(record)}`;
    lines.push([
      'took',
      `${durationText(secondsTaken(record))}, ${durationText(gpuSeconds(record.runs))} on the device${dollars}`,
    ]);
    lines.push(['budget', `${budgetText(record.budget)} a run`]);
    lines.push(['by', record.researcher]);
    lines.push(['rule', policyText(record.policy)]);
    lines.push(['seal', record.seal]);
    lines.push(...researchFacts(record), ...seedFacts(record));
    lines.push([
      'class',
      Object.entries(record.class)
        .map(([name, value]) => `${cleanLine(name, 40)} ${cleanLine(classText(value), 40)}`)
        .join(' · '),
    ]);
  }
  return lines.map(([name, text]) => `${colour.dim(name.padEnd(8))} ${text}`).join('\n');
}

/** Calls that did not say what they cost. */
function assumedText({ research }: ExperimentRecord): string {
  const calls = research?.assumed?.calls ?? 0;
  return calls === 0 ? '' : `, ${calls} call${calls === 1 ? '' : 's'} of it without a readable cost`;
}

/** What its researcher said and used beside the edits. */
function researchFacts({ research, repairs, ideas }: ExperimentRecord): [string, string][] {
  const lines: [string, string][] = [];
  if (research !== null && research.expected !== '')
    lines.push(['expected', cleanLine(research.expected, 300)]);
  for (const hint of research?.hints ?? []) lines.push(['hint', cleanLine(hint, 300)]);
  if (research?.idea != null) lines.push(['idea', research.idea]);
  if (research?.approach != null) lines.push(['plateau', APPROACH_TEXT[research.approach]]);
  if (research?.usage != null) lines.push(['asked', usageText(research.usage)]);
  for (const [index, { failure }] of repairs.entries())
    lines.push([`repair ${index + 1}`, `after ${failure.reason}: ${cleanLine(failure.message)}`]);
  if (ideas.length > 0) lines.push(['ideas', `${ideas.length} for later: \`autoresearch ideas\``]);
  return lines;
}

/** One seed only: such runs say nothing of the noise. */
const seedFacts = ({ runs }: ExperimentRecord): [string, string][] =>
  runs.flatMap(({ seed, sameWeightsAsSeed: other }) =>
    other === null ? [] : [['seeds', `seed ${seed} gave the same weights as seed ${other}`]],
  );

const thousands = (count: number): string => count.toLocaleString('en');

/** `claude-opus-5-5, 3 calls: 41,210 tokens in (91 % from the cache), 2,904 out` */
function usageText({ model, calls, input, cacheWrite, cacheWriteHour, cacheRead, output }: Usage): string {
  const all = input + cacheWrite + cacheWriteHour + cacheRead;
  const cached = all === 0 ? 0 : Math.round((100 * cacheRead) / all);
  return `${model}, ${calls} call${calls === 1 ? '' : 's'}: ${thousands(all)} tokens in (${cached} % from the cache), ${thousands(output)} out`;
}

const right = (head: string) => ({ head, align: 'right' as const });

function runTable(record: ExperimentRecord, width?: number): string {
  const columns = [
    right('run'),
    right('seed'),
    right('score'),
    right('steps'),
    right('tokens'),
    right('train s'),
    right('wall s'),
    right('MB'),
    { head: 'sandbox' },
  ];
  return table(
    columns,
    record.runs.map((run, index) => ({ cells: runCells(run, index) })),
    width,
  );
}

function runCells(run: ScoredRun, index: number): string[] {
  return [
    `${index + 1}${run.attempts > 1 ? `×${run.attempts}` : ''}`,
    String(run.seed),
    run.score === null ? (run.failure?.reason ?? '–') : scoreCell(run.score),
    metricCell(run, 'steps'),
    metricCell(run, 'tokens'),
    run.trainSeconds.toFixed(1),
    run.wallSeconds.toFixed(1),
    metricCell(run, 'peakMemoryMb'),
    run.sandbox === 'none' ? 'NONE' : run.sandbox,
  ];
}

const metricCell = ({ metrics }: ScoredRun, name: string): string => metrics[name]?.toFixed(0) ?? '–';

const section = (head: string, body: string): string => `${colour.dim(`── ${head}`)}\n${body}`;

/** Others' text, marked as such on every line. */
const quote = (text: string): string =>
  clean(text)
    .trimEnd()
    .split('\n')
    .map((line) => `${colour.dim('│')} ${line}`)
    .join('\n');

const marked = (mark: string, text: string): string[] =>
  clean(text)
    .trimEnd()
    .split('\n')
    .map((line) => `${mark}${line}`);

/** Edits as the lines of a patch: what they look for, what they would put there. */
function editsText(edits: readonly Edit[]): string {
  return edits
    .flatMap((edit) => {
      const head = `diff ${cleanLine(edit.path)}`;
      if ('search' in edit) return [head, ...marked('-', edit.search), ...marked('+', edit.replace)];
      if ('content' in edit) return [head, ...marked('+', edit.content)];
      return [head, '- (the whole file)'];
    })
    .join('\n');
}

function paintDiff(patch: string): string {
  return patch
    .split('\n')
    .map((line) => {
      if (/^(\+\+\+|---|diff |index )/.test(line)) return colour.bold(line);
      if (line.startsWith('+')) return colour.green(line);
      if (line.startsWith('-')) return colour.red(line);
      return line.startsWith('@@') ? colour.cyan(line) : line;
    })
    .join('\n');
}
