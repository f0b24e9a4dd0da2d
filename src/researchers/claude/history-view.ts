/** The parts of the history that help a researcher most, as pure functions over the records. */
import type { ExperimentRecord } from '../../domain/experiment';
import { gainOf, type Scale } from './record-text';

/** Older experiments are a table that grows by so many at once, so that the prompt cache can hold it in between. */
const SETTLED_STEP = 10;
const RECENT = 8;
/** Near misses come from the last so many experiments: those against a much older incumbent say little about today's. */
const NEAR_MISSES_FROM = 150;

export interface View {
  scale: Scale;
  /** Standard deviation of the score between runs of one candidate; null when no candidate ran twice. */
  noise: number | null;
  /** Experiments whose verdict is `keep`, oldest first. */
  kept: readonly ExperimentRecord[];
  /** The first experiments up to a multiple of SETTLED_STEP, oldest first. */
  settled: readonly ExperimentRecord[];
  recent: readonly ExperimentRecord[];
  /** Discarded experiments, closest to their incumbent first. */
  nearMisses: readonly ExperimentRecord[];
  failures: readonly { reason: string; records: readonly ExperimentRecord[] }[];
}

export function viewOf(history: readonly ExperimentRecord[], direction: Scale['direction']): View {
  const noise = noiseOf(history);
  const scale = { decimals: decimalsFor(noise), direction };
  const settled = Math.floor(history.length / SETTLED_STEP) * SETTLED_STEP;
  return {
    scale,
    noise,
    kept: history.filter(({ verdict }) => verdict === 'keep'),
    settled: history.slice(0, settled),
    recent: history.slice(Math.min(settled, Math.max(0, history.length - RECENT))),
    nearMisses: history
      .slice(-NEAR_MISSES_FROM)
      .filter((record) => record.verdict === 'discard' && gainOf(record, scale) !== null)
      .toSorted((a, b) => (gainOf(b, scale) ?? 0) - (gainOf(a, scale) ?? 0))
      .slice(0, 6),
    failures: failuresOf(history),
  };
}

/** Pooled standard deviation over all candidates that ran with at least two seeds. */
function noiseOf(history: readonly ExperimentRecord[]): number | null {
  let squares = 0;
  let freedom = 0;
  for (const { runs } of history) {
    const scores = runs.flatMap(({ score }) => score ?? []);
    if (scores.length < 2) continue;
    const mean = scores.reduce((sum, score) => sum + score, 0) / scores.length;
    squares += scores.reduce((sum, score) => sum + (score - mean) ** 2, 0);
    freedom += scores.length - 1;
  }
  return freedom === 0 ? null : Math.sqrt(squares / freedom);
}

/** As many significant digits as a double has. */
const MOST_DECIMALS = 17;

/** Hides digits below the noise: they would invite the model to follow luck (Blum & Hardt 2015, "The Ladder"). */
function decimalsFor(noise: number | null): number | null {
  if (noise === null || noise <= 0) return null;
  return Math.min(MOST_DECIMALS, Math.max(2, Math.ceil(-Math.log10(noise))));
}

function failuresOf(history: readonly ExperimentRecord[]): View['failures'] {
  const crashes = history.filter(({ verdict }) => verdict === 'crash');
  const reasons = [...new Set(crashes.map(({ reason }) => reason))];
  return reasons
    .map((reason) => ({ reason, records: crashes.filter((record) => record.reason === reason) }))
    .toSorted((a, b) => b.records.length - a.records.length);
}

const CONSTANT = /^([A-Z][A-Z0-9_]{2,})[ \t]*(?::[^=\n]+)?=/gm;

/** Constants (upper-case names) of the files that no experiment has changed. */
export function untouchedConstants(
  files: Record<string, string>,
  history: readonly ExperimentRecord[],
): string[] {
  const touched = new Set(
    history.flatMap(({ research, title }) => [
      ...(research?.knobs ?? []),
      ...(title.match(/[A-Z][A-Z0-9_]{2,}/g) ?? []),
    ]),
  );
  const constants = Object.values(files).flatMap((text) =>
    [...text.matchAll(CONSTANT)].map(([, name = '']) => name),
  );
  return [...new Set(constants)].filter((name) => !touched.has(name));
}

/** Words that do not tell what a phrase is about. */
const COMMON = new Set(
  'with from that this more less than into each their them they fewer number against between last first other over under layers training model'.split(
    ' ',
  ),
);

/** The directions that program.md lists and whose words no title or hypothesis mentions. */
export function untriedDirections(program: string, history: readonly ExperimentRecord[]): string[] {
  const said = history
    .map(({ title, hypothesis }) => `${title} ${hypothesis}`)
    .join(' ')
    .toLowerCase();
  return directions(program).filter((phrase) => {
    const words = (phrase.toLowerCase().match(/[a-z]{4,}/g) ?? []).filter((word) => !COMMON.has(word));
    return words.length > 0 && !words.some((word) => said.includes(stem(word)));
  });
}

/** Matches `matrices` and `matrix`: good enough to see whether a subject was mentioned. */
const stem = (word: string): string => word.slice(0, Math.max(4, word.length - 3));

function directions(program: string): string[] {
  const parts = program.split(/^#+[ \t]*/m);
  const about = parts.filter((part) =>
    /\b(look|ideas?|directions?|try|explore)\b/i.test(part.split('\n')[0] ?? ''),
  );
  const text = about.map((part) => part.slice(part.indexOf('\n') + 1)).join('\n\n');
  const [paragraph = ''] = text.split(/\n\s*\n/);
  // A list within a sentence ends with the sentence.
  const list = paragraph.includes(';') ? (paragraph.split(/\.\s/)[0] ?? '') : paragraph;
  return list
    .split(/[;,:.]\s|\n\s*[-*]\s|\.$/)
    .map((phrase) => phrase.replace(/\s+/g, ' ').trim())
    .filter((phrase) => phrase.length > 3 && phrase.split(' ').length <= 12);
}
