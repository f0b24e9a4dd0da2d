/** What a researcher leaves beside its edits, as the ledger and a proposal's blob hold it. */
import { z } from 'zod';
import type { Research } from '../domain/experiment';
import { APPROACHES } from '../domain/experiment';
import { knobSchema } from '../domain/lab';

/** Knobs, and ranges, that one record has at most. */
export const MOST_NOTED = 50;

const count = z.int().nonnegative();
/** Text that git gives back as it was: it keeps UTF-8, which half a character, cut in its middle, is not. */
export const textSchema = z.string().overwrite((text) => text.toWellFormed());
/** Long enough for a thought, short enough for a prompt that quotes many of them. */
export const noteSchema = z.string().min(1).max(2000);
const ideaId = z.string().regex(/^\d+\.\d+$/);

const usageSchema = z.object({
  model: z.string(),
  calls: count,
  input: count,
  cacheWrite: count,
  cacheWriteHour: count,
  cacheRead: count,
  output: count,
});

export const researchSchema = z.object({
  expected: z.string().max(1000),
  knobs: z.array(z.string()).max(MOST_NOTED),
  program: z.string(),
  meaning: z.string().nullable(),
  hints: z.array(z.string()).max(50),
  idea: ideaId.nullable(),
  lessons: z.array(noteSchema).max(50).nullable(),
  ranges: z.array(knobSchema).max(MOST_NOTED),
  approach: z.enum(APPROACHES).nullable(),
  usage: usageSchema.nullable(),
  dearestCall: z.number().nonnegative().nullable().default(null),
  assumed: z
    .object({ calls: count, dollars: z.number().nonnegative(), most: z.number().nonnegative() })
    .nullable()
    .default(null),
}) satisfies z.ZodType<Research>;

export const ideaSchema = z.object({ id: ideaId, text: z.string(), from: z.enum(['researcher', 'human']) });
