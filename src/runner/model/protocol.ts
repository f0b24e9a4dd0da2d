/**
 * The protocol between the runner and the candidate's `lab.py`, over one Unix socket. This file is its only
 * definition. The runner checks every message; trainer/wire.py only reads and writes frames.
 *
 * A frame is: header length (uint32, little endian), payload length (uint64, little endian), header (UTF-8
 * JSON, one of the messages below), payload (raw bytes; empty for most). The candidate speaks first.
 *
 *   candidate                         runner
 *   hello {protocol, framework}   →
 *                                 ←   welcome {seed, vocabulary, row, budget, …}
 *   start {…} + graph (JSON)      →                                       no real data has been seen before this
 *                                 ←   started {}                          the clock runs
 *   batches {count, rows}         →
 *                                 ←   batch {step} + rows (uint16, row-major)   one a step; prefetch = ask ahead
 *   report {step, loss, …}        →
 *                                 ←   end {reason}                        budget used up, or "please end"
 *   submit {…} + weights (safetensors) →                                  within the submission cap
 *                                 ←   accepted {}
 * At any time: ← refused {reason, message}, after which the runner closes and the run is a crash.
 */
import { z } from 'zod';
import { trainBudgetSchema } from '../../domain/budget';

export const PROTOCOL_VERSION = 1;
export const MAX_HEADER_BYTES = 1 << 20;
/** A graph of a few thousand nodes is well under a megabyte. */
export const MAX_GRAPH_BYTES = 64 << 20;
/** Linux holds 107 bytes and a terminating zero; Node cuts longer paths silently. */
export const MAX_SOCKET_PATH_BYTES = 107;
/** The most batches that the candidate may have requested and not yet received. */
export const MAX_BATCHES_AHEAD = 64;

const count = z.int().nonnegative();
/** The largest float32. A loss beyond it, or one that is not a number, is reported as text: JSON has no NaN. */
const MAX_LOSS = 3.4028234663852886e38;
const loss = z.union([z.number().min(-MAX_LOSS).max(MAX_LOSS), z.enum(['NaN', 'Infinity', '-Infinity'])]);
/** Bounds far above any machine and run: 1 PB, a year, 10^13 parameters. */
const memoryMb = z.number().nonnegative().max(1e9);
const waitSeconds = z
  .number()
  .nonnegative()
  .max(365 * 86_400);
const parameterCount = count.max(1e13);
const sha256 = z.string().regex(/^[0-9a-f]{64}$/);

/** Messages of the candidate. */
export const candidateMessage = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('hello'), protocol: z.int(), framework: z.string().max(100) }),
  z.strictObject({
    type: z.literal('start'),
    /** SHA-256 of the initial weights, which must differ between seeds; null if all are constants. */
    initialWeights: sha256.nullable(),
    parameters: parameterCount,
  }),
  z.strictObject({
    type: z.literal('batches'),
    count: z.int().positive().max(MAX_BATCHES_AHEAD),
    rows: z
      .int()
      .positive()
      .max(1 << 20),
  }),
  z.strictObject({
    type: z.literal('report'),
    step: count,
    loss,
    /** Seconds for which steps have waited for data so far. */
    dataWaitSeconds: waitSeconds,
    peakMemoryMb: memoryMb,
  }),
  z.strictObject({
    type: z.literal('submit'),
    steps: count,
    dataWaitSeconds: waitSeconds,
    peakMemoryMb: memoryMb,
  }),
]);

/** Messages of the runner. */
export const runnerMessage = z.discriminatedUnion('type', [
  z.strictObject({
    type: z.literal('welcome'),
    protocol: z.int(),
    seed: z.int().positive(),
    /** Number of token ids; BOS is one of them. */
    vocabulary: z.int().positive(),
    bos: count,
    /** Token ids in a row as stored: inputs are the first row − 1, targets the last row − 1. */
    row: z.int().positive(),
    budget: trainBudgetSchema,
    device: z.string(),
    /** Seconds that the candidate has to submit after `end`. Named as in protocol 1, which labs check against their own copy. */
    handinSeconds: z.number().positive(),
    maxWeightsBytes: count,
  }),
  z.strictObject({ type: z.literal('started') }),
  z.strictObject({ type: z.literal('batch'), step: count, rows: z.int().positive() }),
  z.strictObject({ type: z.literal('end'), reason: z.enum(['budget', 'stop']) }),
  z.strictObject({ type: z.literal('accepted') }),
  z.strictObject({ type: z.literal('refused'), reason: z.string(), message: z.string() }),
]);

export type CandidateMessage = z.infer<typeof candidateMessage>;
export type RunnerMessage = z.infer<typeof runnerMessage>;
