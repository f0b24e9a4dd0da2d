/** Money: tokens by kind and what they cost. Prices are US dollars for a million tokens, as the API's price list has them. */

/** Tokens of one or several calls, by the kinds that are priced differently. */
export interface Usage {
  model: string;
  calls: number;
  /** Input that came from no cache and went to none. */
  input: number;
  /** Written to the prompt cache, to be kept for five minutes and for an hour. */
  cacheWrite: number;
  cacheWriteHour: number;
  cacheRead: number;
  /** Thinking included. */
  output: number;
}

/** US dollars for a million tokens. */
export interface ModelPrice {
  input: number;
  cacheWrite: number;
  cacheWriteHour: number;
  cacheRead: number;
  output: number;
}

const MILLION = 1e6;
/** Figures above these are mistakes: no call costs that much, or has that many tokens. */
const MOST_DOLLARS = 10_000;
const MOST_TOKENS = 1e9;

/** Calls whose cost could not be read, and what they were counted at instead, in US dollars. */
export interface Assumed {
  calls: number;
  dollars: number;
  /** The most that one of them was counted at. */
  most: number;
}

export function addAssumed(a: Assumed | null, b: Assumed | null): Assumed | null {
  if (a == null || b == null) return a ?? b ?? null;
  return { calls: a.calls + b.calls, dollars: a.dollars + b.dollars, most: Math.max(a.most, b.most) };
}

/** US dollars as another program reports them; null where they are no amount. */
export const amountOf = (said: unknown): number | null =>
  typeof said === 'number' && said >= 0 && said <= MOST_DOLLARS ? said : null;

/** Tokens as another program reports them; null where they are no number of tokens. Parts of one count as a whole. */
export const tokensOf = (said: unknown): number | null =>
  typeof said === 'number' && said >= 0 && said <= MOST_TOKENS ? Math.ceil(said) : null;

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

/** What these tokens cost, in US dollars. */
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

/** The most that a call can cost, in US dollars: all of its input written to the cache for an hour, all of its output used. */
export function costAtMost(inputTokens: number, outputTokens: number, price: ModelPrice): number {
  const input = Math.max(price.input, price.cacheWrite, price.cacheWriteHour, price.cacheRead);
  return (inputTokens * input + outputTokens * price.output) / MILLION;
}

/** A GPU's seconds at its price for an hour, in US dollars. */
export const gpuCost = (seconds: number, dollarsAnHour: number): number => (seconds * dollarsAnHour) / 3600;
