/** What models and the GPU cost: the published list, and the user's own prices over it. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parse } from 'yaml';
import { z } from 'zod';
import type { ModelPrice } from '../domain/money';
import { listPrice } from '../domain/prices';
import { errorCode } from '../process/error-code';
import { configRoot } from '../process/paths';
import { CliError } from '../studies/errors';

const dollars = z
  .number('expected US dollars')
  .nonnegative('expected 0 or more')
  .max(1e6, 'expected at most 1000000');

/** What the cache costs where that is not given, as parts of the input's price: the published ones. */
const CACHE_WRITE = 1.25;
const CACHE_WRITE_HOUR = 2;
const CACHE_READ = 0.1;

const modelSchema = z
  .strictObject({
    input: dollars,
    output: dollars,
    cacheWrite: dollars.optional(),
    cacheWriteHour: dollars.optional(),
    cacheRead: dollars.optional(),
  })
  .transform(({ input, output, cacheWrite, cacheWriteHour, cacheRead }): ModelPrice => ({
    input,
    output,
    cacheWrite: cacheWrite ?? input * CACHE_WRITE,
    cacheWriteHour: cacheWriteHour ?? input * CACHE_WRITE_HOUR,
    cacheRead: cacheRead ?? input * CACHE_READ,
  }));

const pricesSchema = z.strictObject({
  /** US dollars for a million tokens. */
  models: z.record(z.string(), modelSchema).default({}),
  /** US dollars for an hour of a GPU. */
  gpuHour: dollars.default(0),
});
type Prices = z.infer<typeof pricesSchema>;

export const pricesFile = (): string => join(configRoot(), 'prices.yaml');

/** @throws CliError if the user's file is not as it must be */
export async function readPrices(): Promise<Prices> {
  const text = await readFile(pricesFile(), 'utf8').catch((error: unknown) => {
    if (errorCode(error) === 'ENOENT') return '';
    throw error;
  });
  try {
    return pricesSchema.parse(parse(text) ?? {});
  } catch (error) {
    const why =
      error instanceof z.ZodError
        ? error.issues.map(({ path, message }) => `${path.join('.') || '(top)'}: ${message}`).join('; ')
        : String(error);
    throw new CliError(
      'lab',
      `${pricesFile()} is not a list of prices: ${why}`,
      'correct it: `models: { NAME: { input: 4, output: 20 } }` in US dollars for a million tokens, and `gpuHour: 2.5`',
      { cause: error },
    );
  }
}

/** @returns null where no price of the model is known */
export const priceOf = ({ models }: Prices, model: string, contextTokens: number): ModelPrice | null =>
  models[model] ?? listPrice(model, contextTokens);
