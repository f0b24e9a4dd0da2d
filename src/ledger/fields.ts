/** Fields that the files of a ledger share, in each of its formats. */
import { z } from 'zod';
import { FAILURES } from '../domain/experiment';

export const count = z.int().nonnegative();
export const amount = z.number().nonnegative();
export const score = z.number().nullable();
export const limit = z.number().nonnegative().nullable();
export const time = z.iso.datetime();
/** SHA-1 or SHA-256. */
export const hash = z.string().regex(/^([0-9a-f]{40}|[0-9a-f]{64})$/);

export const failureSchema = z.object({ reason: z.enum(FAILURES), message: z.string(), tail: z.string() });

export const modelSchema = z.object({
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
