/** The words of lab.yaml that rules and records need: paths of files, and the constants that an optimiser may turn. */
import { z } from 'zod';

// The workflow sandbox allows no code generation, which zod uses to be faster.
z.config({ jitless: true });

/** A path inside the lab, as git writes it: relative, forward slashes, no `.`, `..` or `.git` component. */
export const labPath = z
  .string()
  .min(1)
  .max(200)
  .refine(
    (path) =>
      path
        .split('/')
        .every((part) => part !== '' && part !== '.' && part !== '..' && part.toLowerCase() !== '.git'),
    {
      error: 'expected a path inside the lab: relative, without "..", "." or ".git"',
    },
  )
  .regex(/^\P{Cc}+$/u, 'expected a path without control characters');

const knobName = z
  .string()
  .regex(/^[A-Z][A-Z0-9_]*$/, 'expected the name of a constant, such as LEARNING_RATE');

/** A constant of an editable file that a numeric optimiser may turn. */
export const knobSchema = z.discriminatedUnion('type', [
  z.strictObject({
    name: knobName,
    file: labPath.default('train.py'),
    type: z.literal('float'),
    low: z.number(),
    high: z.number(),
    log: z.boolean().default(false),
  }),
  z.strictObject({
    name: knobName,
    file: labPath.default('train.py'),
    type: z.literal('int'),
    low: z.int(),
    high: z.int(),
    step: z.int().positive().default(1),
    log: z.boolean().default(false),
  }),
  z.strictObject({
    name: knobName,
    file: labPath.default('train.py'),
    type: z.literal('choice'),
    values: z.array(z.union([z.number(), z.string(), z.boolean()])).min(2),
  }),
]);

export type Knob = z.infer<typeof knobSchema>;
