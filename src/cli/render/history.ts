/** The table of experiments: what `history` prints, and the end of `npm start`. */
import type { Direction, ExperimentSummary } from '../../domain/experiment';
import { changeText } from '../../domain/status';
import { colour } from '../output';
import { scoreCell, shortHash } from './numbers';
import { table } from './table';

export interface Metric {
  metric: string;
  direction: Direction;
}

/**
 * One row an experiment; `vs best` is against the best kept score when it was tried.
 * @param last how many rows are shown; the ones before say what the best was
 */
export function historyTable(
  experiments: readonly ExperimentSummary[],
  { metric }: Metric,
  { width, last = experiments.length }: { width?: number; last?: number } = {},
): string {
  let best: number | null = null;
  const rows = experiments.map((experiment) => {
    const { number, verdict, score, seconds, commit, title } = experiment;
    const change = score === null ? '' : changeText(score, best);
    if (verdict === 'keep') best = score;
    const cells = [
      String(number),
      scoreCell(score),
      change,
      verdictText(experiment),
      seconds.toFixed(0),
      shortHash(commit),
      title,
    ];
    return { cells, paint: VERDICT_COLOURS[verdict] };
  });
  const columns = [
    { head: '#', align: 'right' as const },
    { head: metric, align: 'right' as const },
    { head: 'vs best', align: 'right' as const },
    { head: 'verdict' },
    { head: 's', align: 'right' as const },
    { head: 'commit' },
    { head: 'what' },
  ];
  return table(columns, rows.slice(-last), width);
}

/** The verdict's one word, and for a crash its cause. */
export const verdictText = ({ verdict, reason }: Pick<ExperimentSummary, 'verdict' | 'reason'>): string =>
  verdict === 'crash' ? `crash: ${reason}` : verdict;

/** Kept stands out, discarded steps back, as in the field's progress plot. */
export const VERDICT_COLOURS = { keep: colour.green, discard: colour.dim, crash: colour.red } as const;

/** What the study found, honestly: the gain over the baseline, or that nothing beat it. */
export function outcome(experiments: readonly ExperimentSummary[], { metric }: Metric): string {
  const [baseline, ...tried] = experiments;
  if (baseline === undefined) return 'No experiment is finished yet.';
  if (baseline.score === null)
    return 'The baseline itself did not get a score: there is nothing to compare with.';
  const kept = tried.filter(({ verdict }) => verdict === 'keep');
  const best = kept.at(-1);
  if (best === undefined || best.score === null) {
    return `None of the ${tried.length} changes beat the baseline (${metric} ${scoreCell(baseline.score)}).`;
  }
  return (
    `${kept.length} of ${tried.length} changes kept: ${metric} ${scoreCell(baseline.score)} → ` +
    `${scoreCell(best.score)} (${changeText(best.score, baseline.score)}) at #${best.number}.`
  );
}
