/** The ledger's files as schemas, format 2: `study.json` and `experiments/0042.json`. `format-1.ts` reads earlier ones. */
import { z } from 'zod';
import { trainBudgetSchema } from '../domain/budget';
import { DIRECTIONS, REASONS, SEALS, VERDICTS, type ExperimentRecord } from '../domain/experiment';
import { policySchema } from '../domain/policies/choice';
import { ARMS, SPLITS } from '../domain/policies/policy';
import type { StudyConfig } from '../domain/study';
import { amount, count, failureSchema, hash, limit, modelSchema, score, time } from './fields';
import { recordOfFormat1, studyOfFormat1 } from './format-1';
import { ideaSchema, researchSchema, textSchema } from './research';

const classSchema = z.record(z.string(), z.string());

const scoredRunSchema = z.object({
  arm: z.enum(ARMS),
  commit: hash,
  split: z.enum(SPLITS),
  class: classSchema,
  seed: z.int().positive(),
  attempts: count,
  failure: failureSchema.nullable(),
  metrics: z.record(z.string(), z.number()),
  trainSeconds: amount,
  wallSeconds: amount,
  startupSeconds: amount,
  startupGpuSeconds: amount.nullable(),
  initialWeights: z.string().nullable(),
  weights: z.string().nullable(),
  sameWeightsAsSeed: z.int().nullable(),
  sandbox: z.enum(['bubblewrap', 'none']),
  device: z.string(),
  score,
  scoreSeconds: amount,
  scoreWallSeconds: amount,
});

export const recordSchema = z.object({
  format: z.literal(2),
  study: z.string(),
  number: count,
  commit: hash,
  incumbent: hash,
  researcher: z.string(),
  title: textSchema,
  hypothesis: textSchema,
  research: researchSchema.nullable(),
  ideas: z.array(ideaSchema),
  droppedIdeas: z.array(z.string()),
  verdict: z.enum(VERDICTS),
  reason: z.enum(REASONS),
  detail: z.string(),
  failure: failureSchema.nullable(),
  score,
  incumbentScore: score,
  runs: z.array(scoredRunSchema),
  repeatsRefused: count,
  repairs: z.array(z.object({ commit: hash, failure: failureSchema })),
  policy: policySchema,
  budget: trainBudgetSchema,
  startedAt: time,
  finishedAt: time,
  dollars: amount,
  gpuDollars: amount,
  seal: z.enum(SEALS),
  class: classSchema,
}) satisfies z.ZodType<ExperimentRecord>;

export const studySchema = z.object({
  format: z.literal(2),
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
    dollars: limit,
  }),
  metric: z.string(),
  direction: z.enum(DIRECTIONS),
  base: hash,
  createdAt: time,
  commandMinutes: z.number().positive(),
  callDollars: amount.nullable(),
  model: modelSchema.nullable(),
  gpuHourDollars: amount,
  plateauAfter: z.int().positive(),
  restMinutes: z.number().positive(),
  repairs: count,
  policy: policySchema,
  waiting: z.object({
    hints: z.array(z.string()),
    ideas: z.array(z.string()),
    droppedIdeas: z.array(z.string()),
  }),
}) satisfies z.ZodType<StudyConfig>;

/** A record, or a study.json, of any format. */
export const anyRecordSchema = z.discriminatedUnion('format', [recordSchema, recordOfFormat1]);
export const anyStudySchema = z.discriminatedUnion('format', [studySchema, studyOfFormat1]);
