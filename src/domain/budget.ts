/** How long one run trains. */
import { z } from 'zod';
import { durationText } from './numbers';

// The workflow sandbox allows no code generation, which zod uses to be faster.
z.config({ jitless: true });

export const trainBudgetSchema = z.union([
  z.strictObject({ seconds: z.number().positive() }),
  z.strictObject({ steps: z.int().positive() }),
]);

/** `seconds` for research; `steps` (optimiser steps) to make a study repeatable, as in tests. */
export type TrainBudget = z.infer<typeof trainBudgetSchema>;

/** `5 min 00 s`, `40 steps` */
export function budgetText(budget: TrainBudget): string {
  return 'seconds' in budget ? durationText(budget.seconds) : `${budget.steps} steps`;
}
