/**
 * Prices of language models in US dollars per million tokens, as published on 2026-11-21 at
 * platform.claude.com/docs/en/about-claude/pricing. For other models, users give prices in prices.yaml.
 */
import type { ModelPrice } from './money';

interface Listed extends ModelPrice {
  /** Applies to all tokens of a question with more than `above` tokens. */
  long?: { above: number; price: ModelPrice };
}

function price(
  input: number,
  cacheWrite: number,
  cacheWriteHour: number,
  cacheRead: number,
  output: number,
): ModelPrice {
  return { input, cacheWrite, cacheWriteHour, cacheRead, output };
}

const OPUS = price(5, 6.25, 10, 0.5, 25);
const SONNET = price(3, 3.75, 6, 0.3, 15);

const PRICES: Record<string, Listed> = {
  'claude-fable-5-1': price(10, 12.5, 20, 0.25, 50),
  'claude-mythos-5-1': price(10, 12.5, 20, 0.25, 50),
  'claude-fable-5': price(10, 12.5, 20, 1, 50),
  'claude-mythos-5': price(10, 12.5, 20, 1, 50),
  'claude-opus-5-5': price(4, 5, 8, 0.2, 20),
  'claude-opus-5': OPUS,
  'claude-opus-4-8': OPUS,
  'claude-opus-4-7': OPUS,
  'claude-opus-4-6': OPUS,
  'claude-opus-4-5': OPUS,
  'claude-sonnet-5-5': price(2, 2.5, 4, 0.1, 10),
  'claude-sonnet-5': price(2, 2.5, 4, 0.2, 10),
  'claude-sonnet-4-6': SONNET,
  'claude-sonnet-4-5': SONNET,
  'claude-haiku-5-5': {
    ...price(0.1, 0.125, 0.2, 0.01, 0.5),
    long: { above: 100_000, price: price(0.5, 0.625, 1, 0.05, 2.5) },
  },
  'claude-haiku-4-5': price(1, 1.25, 2, 0.1, 5),
};

/**
 * @param model the API's name, with or without a date
 * @param contextTokens the most tokens of a question; if they allow a long question, its price applies
 * @returns US dollars per million tokens; null for a model without a known price
 */
export function listPrice(model: string, contextTokens: number): ModelPrice | null {
  const listed = PRICES[model.replace(/-\d{8}$/, '')];
  if (listed === undefined) return null;
  const { long, ...usual } = listed;
  return long !== undefined && contextTokens > long.above ? long.price : usual;
}
