/**
 * The ledger's files as schemas: `study.json` and `experiments/0042.json`. Fields that a later version adds are left
 * out; those that an earlier one did not know have a default.
 */
import { z } from 'zod';
import type { ExperimentRecord } from '../domain/experiment';
import { UNLIMITED } from '../domain/limits';
import { LATER_SETTINGS, type StudyConfig } from '../domain/study';
import { trainBudgetSchema } from '../domain/budget';
import { ideaSchema, researchSchema, textSchema } from './research';

const count = z.int().nonnegative();
const amount = z.number().nonnegative();
const score = z.number().nullable();
const time = z.iso.datetime();
/** SHA-1 or SHA-256. */
const hash = z.string().regex(/^([0-9a-f]{40}|[0-9a-f]{64})$/);

const FAILURES = [
  'error',
  'timeout',
  'oom',
  'diverged',
  'rejected',
  'unscorable',
  'lost',
  'no-proposal',
] as const;

const failureSchema = z.object({
  reason: z.enum(FAILURES),
  message: z.string(),
  tail: z.string(),
});

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

export const recordSchema = z.object({
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
  verdict: z.enum(['keep', 'discard', 'crash']),
  reason: z.enum(['baseline', 'better', 'not-better', ...FAILURES]),
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
}) satisfies z.ZodType<ExperimentRecord>;

const limit = z.number().nonnegative().nullable();

const modelSchema = z.object({
  name: z.string(),
  effort: z.enum(['low', 'medium', 'high', 'xhigh', 'max']),
  contextTokens: z.int().positive(),
  answerTokens: z.int().positive(),
  price: z
    .object({
      input: amount,
      cacheWrite: amount,
      cacheWriteHour: amount,
      cacheRead: amount,
      output: amount,
    })
    .nullable(),
  lessonsEvery: z.int().positive(),
});

export const studySchema = z.object({
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
}) satisfies z.ZodType<StudyConfig>;
