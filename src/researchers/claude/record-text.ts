/** Experiments as lines of a prompt: what was tried, and its result. Titles are quoted, since other authors wrote them. */
import type { ExperimentRecord } from '../../domain/experiment';
import { scoreText } from '../../domain/numbers';
import { oneLine } from './quote';

const TITLE = 140;

/** How to write scores: with no more digits than the noise allows. */
export interface Scale {
  /** Null when the noise is unknown. */
  decimals: number | null;
  direction: 'minimize' | 'maximize';
}

export const resultText = (score: number | null, { decimals }: Scale): string => {
  if (score === null) return 'no score';
  return decimals === null ? scoreText(score) : score.toFixed(decimals);
};

/** By how much it beat the incumbent of its time, in units of the score; above 0 is better. Null when a score is missing. */
export function gainOf({ score, incumbentScore }: ExperimentRecord, { direction }: Scale): number | null {
  if (score === null || incumbentScore === null) return null;
  return direction === 'minimize' ? incumbentScore - score : score - incumbentScore;
}

export function gainText(record: ExperimentRecord, scale: Scale): string {
  const better = gainOf(record, scale);
  if (better === null) return '';
  if (better === 0) return 'equal';
  return better >= 0 ? `better by ${resultText(better, scale)}` : `worse by ${resultText(-better, scale)}`;
}

/** `#12 discard 0.9812 (worse by 0.0030, 45.1 M tokens) "wider MLP" [MLP_RATIO]`. A record never changes, so neither does its line. */
export function recordLine(record: ExperimentRecord, scale: Scale): string {
  const { number, verdict, reason, score, title, research, failure } = record;
  const result =
    failure === null
      ? `${resultText(score, scale)}${gain(record, scale)}`
      : `${reason}: ${oneLine(failure.message, TITLE)}`;
  const knobs = research === null || research.knobs.length === 0 ? '' : `[${research.knobs.join(', ')}]`;
  return `#${number} ${verdict} ${result} ${JSON.stringify(oneLine(title, TITLE))} ${oneLine(knobs, TITLE)}`.trimEnd();
}

function gain(record: ExperimentRecord, scale: Scale): string {
  const texts = [gainText(record, scale), speedText(record)].filter((text) => text !== '');
  return texts.length === 0 ? '' : ` (${texts.join(', ')})`;
}

/** The tokens that the candidate trained on: with a budget in time they show its speed. */
function speedText({ budget, runs }: ExperimentRecord): string {
  const tokens = runs.findLast(({ score }) => score !== null)?.metrics['tokens'] ?? 0;
  return 'steps' in budget || tokens === 0 ? '' : `${tokensText(tokens)} tokens`;
}

/** `45.1 M`: three significant digits. */
export function tokensText(tokens: number): string {
  const [size, unit] = tokens < 1e6 ? [1e3, 'k'] : [1e6, 'M'];
  return `${Number((tokens / size).toPrecision(3))} ${unit}`;
}

/** A patch's changed lines, cut after `length` characters. */
export function diffSummary(patch: string, length: number): string {
  const lines = patch
    .split('\n')
    .filter((line) => /^[-+](?!--|\+\+)/.test(line) && line.trim().length > 1)
    .join('\n');
  return lines.length <= length ? lines : `${lines.slice(0, length)}\n… cut`;
}
