/** The options that set a study's limits, the same for `start`, `resume` and `budget`. */
import type { Command } from 'commander';
import { z } from 'zod';
import type { Limits } from '../domain/limits';

const amount = z.number('expected a number, or `none`').positive('expected more than 0');

/** `none` clears a limit. */
const orNone = (limit: z.ZodType<number>) =>
  z.preprocess(
    (text) => (text === 'none' ? null : text === undefined ? undefined : Number(text)),
    limit.nullable().optional(),
  );

export const limitSchemas = {
  experiments: orNone(amount.int('expected a whole number')),
  gpuHours: orNone(amount),
  hours: orNone(amount),
  usd: orNone(amount),
};

type LimitOptions = { [option in keyof typeof limitSchemas]?: number | null | undefined };

export function takesLimits(command: Command): Command {
  return command
    .option('--experiments <N>', 'pause after N experiments, the baseline among them; `none` for no limit')
    .option(
      '--gpu-hours <H>',
      'hours that runs and scorings may hold the GPU (or the CPU); `none` for no limit',
    )
    .option('--hours <H>', 'hours of wall-clock time in experiments; `none` for no limit')
    .option(
      '--usd <D>',
      'US dollars for proposals, and for GPU hours that have a price; `none` for no limit',
    );
}

/** Only the limits that were given. */
export function givenLimits({ experiments, gpuHours, hours, usd }: LimitOptions): Partial<Limits> {
  return {
    ...(experiments !== undefined && { experiments }),
    ...(gpuHours !== undefined && { gpuHours }),
    ...(hours !== undefined && { hours }),
    ...(usd !== undefined && { dollars: usd }),
  };
}
