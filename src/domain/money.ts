/** Tokens by kind, and their cost. Prices are US dollars per million tokens, as in the API's price list. */

/** Tokens of one or several calls, by the kinds that have different prices. */
export interface Usage {
  model: string;
  calls: number;
  /** Input that was neither read from the prompt cache nor written to it. */
  input: number;
  /** Written to the prompt cache for five minutes, and for an hour. */
  cacheWrite: number;
  cacheWriteHour: number;
  cacheRead: number;
  /** Output, thinking included. */
  output: number;
}

/** US dollars per million tokens. */
export interface ModelPrice {
  input: number;
  cacheWrite: number;
  cacheWriteHour: number;
  cacheRead: number;
  output: number;
}

const MILLION = 1e6;
/** Higher figures are mistakes: no call costs that much, or has that many tokens. */
const MOST_DOLLARS = 10_000;
const MOST_TOKENS = 1e9;

/** Calls of unknown cost, and the US dollars assumed for them. */
export interface Assumed {
  calls: number;
  dollars: number;
  /** The highest amount assumed for one of them. */
  most: number;
}

export function addAssumed(a: Assumed | null, b: Assumed | null): Assumed | null {
  if (a == null || b == null) return a ?? b ?? null;
  return { calls: a.calls + b.calls, dollars: a.dollars + b.dollars, most: Math.max(a.most, b.most) };
}

/** US dollars reported by another program; null when the value is not an amount. */
export const amountOf = (value: unknown): number | null =>
  typeof value === 'number' && value >= 0 && value <= MOST_DOLLARS ? value : null;

/** Tokens reported by another program, rounded up; null when the value is not a number of tokens. */
export const tokensOf = (value: unknown): number | null =>
  typeof value === 'number' && value >= 0 && value <= MOST_TOKENS ? Math.ceil(value) : null;

export const noUsage = (model: string): Usage => ({
  model,
  calls: 0,
  input: 0,
  cacheWrite: 0,
  cacheWriteHour: 0,
  cacheRead: 0,
  output: 0,
});

export function addUsage(a: Usage, b: Usage): Usage {
  return {
    model: b.model,
    calls: a.calls + b.calls,
    input: a.input + b.input,
    cacheWrite: a.cacheWrite + b.cacheWrite,
    cacheWriteHour: a.cacheWriteHour + b.cacheWriteHour,
    cacheRead: a.cacheRead + b.cacheRead,
    output: a.output + b.output,
  };
}

/** The cost of these tokens, in US dollars. */
export function costOf(usage: Usage, price: ModelPrice): number {
  return (
    (usage.input * price.input +
      usage.cacheWrite * price.cacheWrite +
      usage.cacheWriteHour * price.cacheWriteHour +
      usage.cacheRead * price.cacheRead +
      usage.output * price.output) /
    MILLION
  );
}

/** The most that a call can cost, in US dollars: all input at its highest price, and all output tokens used. */
export function costAtMost(inputTokens: number, outputTokens: number, price: ModelPrice): number {
  const input = Math.max(price.input, price.cacheWrite, price.cacheWriteHour, price.cacheRead);
  return (inputTokens * input + outputTokens * price.output) / MILLION;
}

/** The cost of a GPU's seconds, in US dollars. */
export const gpuCost = (seconds: number, dollarsAnHour: number): number => (seconds * dollarsAnHour) / 3600;
