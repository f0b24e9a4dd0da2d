/**
 * The files of one detached task (a training or a scoring): its request (`spec.json`), its state
 * (`status.json`, replaced atomically) and its output (`log`). Activities and the CLI read them; only the
 * task itself writes its status.
 */
import { z } from 'zod';
import { FAILURES } from '../domain/experiment';
import { ownerSchema } from '../process/owner';
import { trainBudgetSchema } from '../domain/budget';

const seconds = z.number().nonnegative();
const commandSchema = z.array(z.string()).min(1);

const common = {
  format: z.literal(1),
  /** Names the task in messages: `nov21/0042 run 1`. */
  name: z.string(),
  /** The candidate's files with the locked ones from the base commit laid over them; read-only in the sandbox. */
  tree: z.string(),
  /** The prepared data folder. The trainer never sees it; the runner and the scorer do. */
  data: z.string(),
  /** The trainer's Python interpreter; `python` as the first word of a command means this one. */
  python: z.string(),
  device: z.string(),
  command: commandSchema,
  /** Where graph.json and weights.safetensors are submitted. */
  submission: z.string(),
  logBytes: z.int().positive(),
  scratchBytes: z.int().positive(),
  /** Wall seconds that this attempt had used when it was stopped before. */
  spentSeconds: seconds,
};

export const trainSpecSchema = z.strictObject({
  kind: z.literal('train'),
  ...common,
  seed: z.int().positive(),
  budget: trainBudgetSchema,
  startupSeconds: seconds,
  /** The most GPU-busy seconds of these; null if only `startupSeconds` counts. */
  startupGpuSeconds: seconds.nullable(),
  submissionSeconds: seconds,
  stallSeconds: seconds,
  /** From `start`, where the budget is steps: a budget of seconds is its own cap. */
  trainSeconds: seconds,
  weightsBytes: z.int().positive(),
  /** True for a smoke test: random data, and nothing is compiled. */
  smokeTest: z.boolean().optional(),
});

export const scoreSpecSchema = z.strictObject({
  kind: z.literal('score'),
  ...common,
  /** The expected contents of `tree` by path: git's blob ids of the study's base. */
  blobs: z.record(z.string(), z.string()),
  scoreSeconds: seconds,
});

export const taskSpecSchema = z.discriminatedUnion('kind', [trainSpecSchema, scoreSpecSchema]);
export type TrainSpec = z.infer<typeof trainSpecSchema>;
export type ScoreSpec = z.infer<typeof scoreSpecSchema>;
export type TaskSpec = z.infer<typeof taskSpecSchema>;

const failureSchema = z.strictObject({
  reason: z.enum(FAILURES).exclude(['no-proposal']),
  message: z.string().max(200),
  tail: z.string().max(4000),
});

export const taskStatusSchema = z.strictObject({
  format: z.literal(1),
  owner: ownerSchema,
  /**
   * `queued`: waits for the device's lock. `done` is final, with or without a failure. `stopped`: ended by request, or with a
   * failure by a host error; the task begins again in its folder, and this does not count as an attempt.
   */
  phase: z.enum(['queued', 'starting', 'training', 'submitting', 'scoring', 'done', 'stopped']),
  /** Wall clock, milliseconds since the epoch; for people, never for decisions. */
  updatedAt: z.number(),
  /** When the clock of the budget began and ends, on the same wall clock; null before `start`, deadline null with a budget of steps. */
  startedAt: z.number().nullable(),
  deadline: z.number().nullable(),
  step: z.int().nonnegative(),
  tokens: z.int().nonnegative(),
  lastLoss: z.number().nullable(),
  startupSeconds: seconds,
  startupGpuSeconds: seconds.nullable(),
  trainSeconds: seconds,
  wallSeconds: seconds,
  dataWaitSeconds: seconds,
  peakMemoryMb: seconds,
  initialWeights: z.string().nullable(),
  weights: z.string().nullable(),
  parameters: z.int().nonnegative(),
  sandbox: z.enum(['bubblewrap', 'none']),
  /** The scorer's answer; null in a training. */
  score: z.strictObject({ value: z.number(), tokens: z.int(), bytes: z.int(), seconds }).nullable(),
  failure: failureSchema.nullable(),
});
export type RunFailure = z.infer<typeof failureSchema>;
export type TaskStatus = z.infer<typeof taskStatusSchema>;
