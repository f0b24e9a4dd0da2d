/**
 * Ledgers of format 1, which versions up to 0.4 wrote: read as the records of today, and never written. Every one of their
 * verdicts is greedy's, from one run for each candidate.
 */
import { z } from 'zod';
import { REASONS, VERDICTS, type ExperimentRecord, type ScoredRun } from '../domain/experiment';
import { UNLIMITED } from '../domain/limits';
import { DEFAULT_POLICY } from '../domain/policies/choice';
import type { RunClass } from '../domain/run-class';
import { LATER_SETTINGS, type StudyConfig } from '../domain/study';
import { trainBudgetSchema } from '../domain/budget';
import { amount, count, failureSchema, hash, limit, modelSchema, score, time } from './fields';
import { ideaSchema, researchSchema, textSchema } from './research';

const scoredRunSchema = z.object({
  seed: z.int().positive(),
  attempts: count,
  failure: failureSchema.nullable(),
  steps: count,
  tokens: count,
  trainSeconds: amount,
  wallSeconds: amount,
  startupSeconds: amount,
  startupGpuSeconds: amount.nullable().default(null),
  dataWaitSeconds: amount,
  peakMemoryMb: amount,
  lastLoss: z.number().nullable(),
  initialWeights: z.string().nullable(),
  weights: z.string().nullable(),
  sameWeightsAsSeed: z.int().nullable().default(null),
  sandbox: z.enum(['bubblewrap', 'none']),
  device: z.string(),
  score,
  scoreSeconds: amount,
  scoreWallSeconds: amount,
  parameters: count,
});

const record1Schema = z.object({
  format: z.literal(1),
  study: z.string(),
  number: count,
  commit: hash,
  incumbent: hash,
  researcher: z.string(),
  title: textSchema,
  hypothesis: textSchema,
  research: researchSchema.nullable().default(null),
  ideas: z.array(ideaSchema).default([]),
  droppedIdeas: z.array(z.string()).default([]),
  verdict: z.enum(VERDICTS),
  reason: z.enum(REASONS),
  detail: z.string(),
  failure: failureSchema.nullable(),
  score,
  incumbentScore: score,
  runs: z.array(scoredRunSchema),
  repeatsRefused: count.default(0),
  repairs: z.array(z.object({ commit: hash, failure: failureSchema })).default([]),
  budget: trainBudgetSchema,
  startedAt: time,
  finishedAt: time,
  dollars: amount,
  gpuDollars: amount.default(0),
  fingerprint: z.object({ device: z.string(), torch: z.string(), lab: z.string(), data: z.string() }),
});

const study1Schema = z.object({
  format: z.literal(1),
  tag: z.string(),
  workflowId: z.string(),
  lab: z.string(),
  labId: z.string(),
  researcher: z.string(),
  researcherCommand: z.string().nullable(),
  budget: trainBudgetSchema,
  limits: z.object({
    experiments: limit,
    gpuHours: limit,
    hours: limit,
    dollars: limit.default(UNLIMITED.dollars),
  }),
  metric: z.string(),
  direction: z.enum(['minimize', 'maximize']),
  base: hash,
  createdAt: time,
  commandMinutes: z.number().positive().default(LATER_SETTINGS.commandMinutes),
  callDollars: amount.nullable().default(LATER_SETTINGS.callDollars),
  model: modelSchema.nullable().default(LATER_SETTINGS.model),
  gpuHourDollars: amount.default(LATER_SETTINGS.gpuHourDollars),
  plateauAfter: z.int().positive().default(LATER_SETTINGS.plateauAfter),
  restMinutes: z.number().positive().default(LATER_SETTINGS.restMinutes),
  repairs: count.default(LATER_SETTINGS.repairs),
  waiting: z
    .object({ hints: z.array(z.string()), ideas: z.array(z.string()), droppedIdeas: z.array(z.string()) })
    .default(LATER_SETTINGS.waiting),
});

/** A record as today's code knows it. The metric's name stands in study.json only: the score is not among the metrics. */
export const recordOfFormat1 = record1Schema.transform(
  ({ fingerprint, runs, ...record }): ExperimentRecord => {
    // Each candidate had one run, unless it was refused before any.
    const candidates = [...record.repairs.map(({ commit }) => commit), record.commit];
    return {
      ...record,
      format: 2,
      policy: DEFAULT_POLICY,
      seal: 'graph',
      class: fingerprint,
      runs: runs.map((run, index) => runOf(run, candidates[index] ?? record.commit, fingerprint)),
    };
  },
);

function runOf(
  {
    steps,
    tokens,
    dataWaitSeconds,
    peakMemoryMb,
    lastLoss,
    parameters,
    ...run
  }: z.infer<typeof scoredRunSchema>,
  commit: string,
  runClass: RunClass,
): ScoredRun {
  const measured = { steps, tokens, dataWaitSeconds, peakMemoryMb, parameters };
  return {
    ...run,
    arm: 'candidate',
    commit,
    split: 'val',
    class: runClass,
    metrics: lastLoss === null ? measured : { ...measured, lastLoss },
  };
}

export const studyOfFormat1 = study1Schema.transform((study): StudyConfig => ({
  ...study,
  format: 2,
  policy: DEFAULT_POLICY,
}));
