/**
 * results.tsv as the field knows it (karpathy/autoresearch): commit, metric, memory_gb, status, description; then
 * columns of ours. It is derived: the records in the ledger are the truth, and it can be made from them at any time.
 */
import { gpuSeconds, type ExperimentRecord, type Verdict } from '../domain/experiment';
import { scoreText } from '../domain/numbers';

/** Columns that may follow the field's five. */
const MORE = ['experiment', 'reason', 'seconds', 'gpu_seconds', 'dollars'];
const EXPERIMENT = 5;

/** One row as read back. */
export interface ResultRow {
  commit: string;
  /** null for a crash, whose 0.000000 is not a score. */
  score: number | null;
  memoryGb: number;
  status: Verdict;
  description: string;
  /** null in a table that somebody else wrote. */
  experiment: number | null;
}

/** The whole table, in the experiments' order. The second column is named after the lab's metric. */
export function resultsTable(metric: string, records: readonly ExperimentRecord[]): string {
  const rows = records.toSorted((a, b) => a.number - b.number).map(resultRow);
  return [header(metric), ...rows].map((line) => `${line}\n`).join('');
}

/** The table with one more record; null if it is not a table of exactly `count` experiments of ours. */
export function extendTable(
  table: string,
  metric: string,
  record: ExperimentRecord,
  count: number,
): string | null {
  const lines = table.split('\n').slice(0, -1);
  if (lines.length !== count + 1 || lines[0] !== header(metric)) return null;
  const numbers = lines.slice(1).map((line) => Number(line.split('\t')[EXPERIMENT]));
  if (numbers.some((number, index) => Number.isNaN(number) || number <= (numbers[index - 1] ?? -1)))
    return null;
  const later = numbers.findIndex((number) => number >= record.number);
  if (numbers[later] === record.number) return null;
  lines.splice(later < 0 ? lines.length : later + 1, 0, resultRow(record));
  return lines.map((line) => `${line}\n`).join('');
}

/**
 * Reads a table back, ours or the field's.
 * @throws Error that names the line that is not a row
 */
export function parseResults(table: string): ResultRow[] {
  const [, ...lines] = table.split(/\r?\n/);
  return lines.flatMap((line, index) => {
    if (line.trim() === '') return [];
    const [commit = '', score = '', memory = '', status = '', description, ...more] = line.split('\t');
    const verdict = status.trim().toLowerCase();
    if (description === undefined || !isVerdict(verdict)) {
      throw new Error(
        `results.tsv, line ${index + 2}: expected commit, score, memory, keep|discard|crash, description`,
      );
    }
    const value = Number(score);
    const hasScore = verdict !== 'crash' && score.trim() !== '' && Number.isFinite(value);
    return [
      {
        commit,
        score: hasScore ? value : null,
        memoryGb: Number(memory) || 0,
        status: verdict,
        description,
        experiment: /^\d+$/.test(more[0] ?? '') ? Number(more[0]) : null,
      },
    ];
  });
}

function header(metric: string): string {
  return ['commit', metric, 'memory_gb', 'status', 'description', ...MORE].join('\t');
}

function resultRow(record: ExperimentRecord): string {
  const { commit, score, verdict, title, number, reason, runs, startedAt, finishedAt, dollars } = record;
  const memory =
    verdict === 'crash' ? 0 : Math.max(0, ...runs.map((run) => run.metrics['peakMemoryMb'] ?? 0)) / 1024;
  // The dates' difference, whatever the clock did: rows of earlier versions stay as they are.
  const seconds = (Date.parse(finishedAt) - Date.parse(startedAt)) / 1000;
  return [
    commit.slice(0, 7),
    scoreText(verdict === 'crash' ? 0 : (score ?? 0), 6),
    memory.toFixed(1),
    verdict,
    describe(title),
    number,
    reason,
    seconds.toFixed(1),
    gpuSeconds(runs).toFixed(1),
    dollars.toFixed(4),
  ].join('\t');
}

/** What readers of tab-separated values trip over goes: tabs, newlines, other control characters, quotes. */
function describe(title: string): string {
  const plain = title
    .replaceAll(/["“”`]/g, '')
    .replaceAll(/[\p{Cc}\p{Zl}\p{Zp}\s]+/gu, ' ')
    .trim();
  return plain === '' ? '-' : plain;
}

function isVerdict(text: string): text is Verdict {
  return text === 'keep' || text === 'discard' || text === 'crash';
}
