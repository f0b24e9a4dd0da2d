/** The ledger's files as schemas: `study.json` and `experiments/0042.json`. Fields that a later version adds are left out. */
import { z } from 'zod';
import type { ExperimentRecord } from '../domain/experiment';
import type { StudyConfig } from '../domain/study';
import { trainBudgetSchema } from '../runner/protocol';

const count = z.int().nonnegative();
const amount = z.number().nonnegative();
const score = z.number().nullable();
const time = z.iso.datetime();
/** SHA-1 or SHA-256. */
const hash = z.string().regex(/^([0-9a-f]{40}|[0-9a-f]{64})$/);

const failureSchema = z.object({
  reason: z.enum(['error', 'timeout', 'oom', 'diverged', 'rejected', 'unscorable', 'lost']),
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
  dataWaitSeconds: amount,
  peakMemoryMb: amount,
  lastLoss: z.number().nullable(),
  initialWeights: z.string().nullable(),
  weights: z.string().nullable(),
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
  title: z.string(),
  hypothesis: z.string(),
  verdict: z.enum(['keep', 'discard', 'crash']),
  reason: z.enum([
    'baseline',
    'better',
    'not-better',
    'error',
    'timeout',
    'oom',
    'diverged',
    'rejected',
    'unscorable',
    'lost',
  ]),
  detail: z.string(),
  failure: failureSchema.nullable(),
  score,
  incumbentScore: score,
  runs: z.array(scoredRunSchema),
  budget: trainBudgetSchema,
  startedAt: time,
  finishedAt: time,
  dollars: amount,
  fingerprint: z.object({ device: z.string(), torch: z.string(), lab: z.string(), data: z.string() }),
}) satisfies z.ZodType<ExperimentRecord>;

const limit = z.number().nonnegative().nullable();

export const studySchema = z.object({
  format: z.literal(1),
  tag: z.string(),
  workflowId: z.string(),
  lab: z.string(),
  labId: z.string(),
  researcher: z.string(),
  researcherCommand: z.string().nullable(),
  budget: trainBudgetSchema,
  limits: z.object({ experiments: limit, gpuHours: limit, hours: limit }),
  metric: z.string(),
  direction: z.enum(['minimize', 'maximize']),
  base: hash,
  createdAt: time,
}) satisfies z.ZodType<StudyConfig>;
