/** How a study's state is told to people: the field's status line, and the query's answer. */
import type { ExperimentSummary } from './experiment';
import { secondsAside, type Limits, type Spent } from './limits';
import { gpuCost } from './money';
import { scoreText } from './numbers';
import { plateauOf, type Plateau } from './plateau';
import type { Incumbent } from './policies/policy';
import type { Pause, StudyConfig, StudyState } from './study';
import type { Waiting } from './waiting';

/** `pausing` and `stopping`: asked for, while an experiment is still under way. */
export type Phase = 'opening' | 'running' | 'pausing' | 'paused' | 'stopping' | 'stopped';

/** The phase as operators filter by it. For a paused study it names the kind of cause: `paused by limit`. */
export function phaseLabel(phase: Phase, paused: Pause | null): string {
  return phase === 'paused' && paused !== null ? `paused by ${paused.by}` : phase;
}

/** The answer of the `status` query. */
export interface StudyStatus {
  tag: string;
  workflowId: string;
  lab: string;
  branch: string;
  researcher: string;
  metric: string;
  direction: StudyConfig['direction'];
  budget: StudyConfig['budget'];
  phase: Phase;
  reason: string | null;
  /** Number of the experiment under way; null between experiments. */
  current: number | null;
  incumbent: Incumbent | null;
  baselineScore: number | null;
  kept: number;
  discarded: number;
  crashed: number;
  limits: Limits;
  spent: Spent;
  /** US dollars set aside for the GPU time of the next experiment, or of the one under way. */
  gpuDollarsAside: number;
  recent: ExperimentSummary[];
  plateau: Plateau;
  waiting: Waiting;
  refused: string | null;
  line: string;
}

/** The status of a study in `state`, while experiment `current` is under way. */
export function studyStatus(
  config: StudyConfig,
  state: StudyState,
  phase: Phase,
  current: number | null,
): StudyStatus {
  const { tag, workflowId, lab, researcher, metric, direction, budget } = config;
  const { incumbent, baselineScore, kept, discarded, crashed, limits, spent, recent, waiting, refused } =
    state;
  return {
    tag,
    workflowId,
    lab,
    branch: `autoresearch/${tag}`,
    researcher,
    metric,
    direction,
    budget,
    phase,
    reason: state.paused?.reason ?? null,
    current,
    incumbent,
    baselineScore,
    kept,
    discarded,
    crashed,
    limits,
    spent,
    gpuDollarsAside: gpuCost(secondsAside(budget, recent), config.gpuHourDollars),
    recent,
    plateau: plateauOf(state.sinceKeep, config.plateauAfter),
    waiting,
    refused,
    line: statusLine(state),
  };
}

/** `Runs: 41 · 9 kept · 30 discarded · 2 crashed · best 0.9712 (−2.7 % vs baseline) at #38` */
export function statusLine(state: StudyState): string {
  const { spent, kept, discarded, crashed, incumbent, baselineScore } = state;
  const parts = [
    `Runs: ${spent.experiments}`,
    `${kept} kept`,
    `${discarded} discarded`,
    `${crashed} crashed`,
  ];
  if (incumbent !== null && incumbent.score !== null) {
    const percent = changeText(incumbent.score, baselineScore);
    const change = percent === '' ? '' : ` (${percent} vs baseline)`;
    parts.push(`best ${scoreText(incumbent.score)}${change} at #${incumbent.experiment}`);
  }
  return parts.join(' · ');
}

/** From here on a percentage says only that the reference was near zero, or not a score of the same kind. */
const MEANINGLESS = 1000;

/** `−2.7 %`: how far a score is from another; empty where that says nothing. */
export function changeText(score: number, reference: number | null): string {
  if (reference === null || reference === 0 || score === reference) return '';
  const percent = (100 * (score - reference)) / Math.abs(reference);
  if (!(Math.abs(percent) < MEANINGLESS)) return '';
  return `${percent < 0 ? '−' : '+'}${Math.abs(percent).toFixed(1)} %`;
}
