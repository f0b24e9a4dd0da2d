/** Studies beside each other: what each brought for its cost, and how far its best was after each experiment. */
import { budgetText } from './budget';
import { classDifferences } from './run-class';
import { gpuSeconds, type ExperimentRecord } from './experiment';
import { policyText } from './policies/choice';
import type { StudyConfig } from './study';

export interface Compared {
  /** What tables call it: the tag, with its lab where two have one tag. */
  name: string;
  config: StudyConfig;
  records: readonly ExperimentRecord[];
}

export interface StudyFigures {
  name: string;
  /** Studies of one kind share a curve: the researcher, with its model. */
  kind: string;
  experiments: number;
  kept: number;
  discarded: number;
  crashed: number;
  /** Of the crashes: broke a rule; nothing was proposed. */
  rejected: number;
  withoutProposal: number;
  /** Changes that were refused before anything ran, for they had been tried. */
  repeatsRefused: number;
  baseline: number | null;
  best: number | null;
  /** How much better the best is than the baseline, as a share of that; null without a baseline. */
  gain: number | null;
  gpuHours: number;
  /** Proposing, and the device at its price. */
  dollars: number;
  /** Of a language model, all kinds together. */
  tokens: number;
  gainPerDollar: number | null;
  gainPerGpuHour: number | null;
  curve: CurvePoint[];
}

/** After an experiment: the best gain so far, and the device's hours in all. */
export interface CurvePoint {
  experiment: number;
  gpuHours: number;
  gain: number;
}

/** All studies of one kind: their mean, and one standard deviation about it (0 for a single study). */
export interface Band {
  kind: string;
  studies: string[];
  /** As far as all of its studies go. */
  points: { experiment: number; mean: number; spread: number }[];
}

export function figuresOf({ name, config, records }: Compared): StudyFigures {
  const curve = curveOf(records);
  const count = (test: (record: ExperimentRecord) => boolean) => records.filter(test).length;
  const gain = curve.at(-1)?.gain ?? null;
  const gpuHours = records.reduce((sum, { runs }) => sum + gpuSeconds(runs), 0) / 3600;
  const dollars = records.reduce((sum, each) => sum + each.dollars + each.gpuDollars, 0);
  return {
    name,
    kind: config.model === null ? config.researcher : `${config.researcher} ${config.model.name}`,
    experiments: records.length,
    kept: count(({ verdict, number }) => verdict === 'keep' && number > 0),
    discarded: count(({ verdict }) => verdict === 'discard'),
    crashed: count(({ verdict }) => verdict === 'crash'),
    rejected: count(({ reason }) => reason === 'rejected'),
    withoutProposal: count(({ reason }) => reason === 'no-proposal'),
    repeatsRefused: records.reduce((sum, each) => sum + each.repeatsRefused, 0),
    baseline: records[0]?.score ?? null,
    best: keptScores(records).at(-1) ?? null,
    gain,
    gpuHours,
    dollars,
    tokens: records.reduce((sum, each) => sum + tokensOf(each), 0),
    gainPerDollar: gain === null || dollars === 0 ? null : gain / dollars,
    gainPerGpuHour: gain === null || gpuHours === 0 ? null : gain / gpuHours,
    curve,
  };
}

/** What differs between studies, and makes their scores say nothing about each other: in words, none where all is equal. */
export function differences(studies: readonly Compared[]): string[] {
  const facts: [string, (study: Compared) => string][] = [
    ['metric', ({ config }) => config.metric],
    ['direction', ({ config }) => config.direction],
    ['keep rule', ({ config }) => policyText(config.policy)],
    ['budget of a run', ({ config }) => budgetText(config.budget)],
  ];
  const settings = facts.flatMap(([what, factOf]) => {
    const values = studies.map(factOf);
    const distinct = [...new Set(values)];
    return distinct.length <= 1 ? [] : [`${what} (${distinct.join(', ')})`];
  });
  const last = studies.map(({ records }) => records.at(-1));
  const classes = last.filter((record) => record !== undefined).map((record) => record.class);
  return [...settings, ...classDifferences(classes)];
}

/** One band for each kind of study, in the order in which the kinds come. */
export function bandsOf(figures: readonly StudyFigures[]): Band[] {
  const kinds = [...new Set(figures.map(({ kind }) => kind))];
  return kinds.map((kind) => {
    const own = figures.filter((study) => study.kind === kind && study.curve.length > 0);
    const length = own.length === 0 ? 0 : Math.min(...own.map(({ curve }) => curve.length));
    const points = Array.from({ length }, (_, experiment) => {
      const gains = own.map(({ curve }) => curve[experiment]?.gain ?? 0);
      return { experiment, ...meanAndSpread(gains) };
    });
    return { kind, studies: own.map(({ name }) => name), points };
  });
}

function curveOf(records: readonly ExperimentRecord[]): CurvePoint[] {
  const baseline = records[0]?.score ?? null;
  if (baseline === null || baseline === 0) return [];
  let best = baseline;
  let hours = 0;
  return records.map(({ number, verdict, score, runs }) => {
    hours += gpuSeconds(runs) / 3600;
    // The study's policy has found that the kept one is better.
    if (verdict === 'keep' && score !== null) best = score;
    return { experiment: number, gpuHours: hours, gain: Math.abs(best - baseline) / Math.abs(baseline) };
  });
}

const keptScores = (records: readonly ExperimentRecord[]): number[] =>
  records.flatMap(({ verdict, score }) => (verdict === 'keep' && score !== null ? [score] : []));

function tokensOf({ research }: ExperimentRecord): number {
  const usage = research?.usage ?? null;
  if (usage === null) return 0;
  return usage.input + usage.cacheWrite + usage.cacheWriteHour + usage.cacheRead + usage.output;
}

function meanAndSpread(values: readonly number[]): { mean: number; spread: number } {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return { mean, spread: values.length < 2 ? 0 : Math.sqrt(squares / (values.length - 1)) };
}
