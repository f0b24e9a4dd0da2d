/**
 * Reads title, hypothesis and cost from a command's output. It understands our own JSON object, the result of
 * `claude -p --output-format json` (an object, an array or JSON lines) and the events of `codex exec --json`, anywhere in the
 * output, since terminals and wrappers add titles, colours and text around them.
 */
/* oxlint-disable no-control-regex -- this file removes control characters */
import { z } from 'zod';
import { addUsage, amountOf, noUsage, tokensOf, type Usage } from '../domain/money';
import { jsonValuesIn } from './json-values';

export interface AgentReport {
  title: string | null;
  hypothesis: string | null;
  /** US dollars; null when the output names none, or an invalid amount. */
  dollars: number | null;
  /** US dollars of the calls whose cost could be read; used when `dollars` is null. */
  atLeast: number;
  /** Tokens; null when the output names none, or an invalid figure. */
  usage: Usage | null;
}

const anyText = z.string().nullable().catch(null).default(null);
const anything = z.unknown().optional();

/** Each field is read by itself: one of an unexpected type must not lose the cost. */
const ownSchema = z.object({ title: anyText, hypothesis: anyText, dollars: anything });
const claudeSchema = z.object({
  type: z.literal('result'),
  result: anyText,
  total_cost_usd: anything,
  modelUsage: z.record(z.string(), anything).nullable().catch(null).default(null),
  usage: anything,
});
const claudeUsageSchema = z.object({
  input_tokens: anything,
  cache_creation_input_tokens: anything,
  cache_read_input_tokens: anything,
  output_tokens: anything,
});
const codexMessageSchema = z.object({
  type: z.literal('item.completed'),
  item: z.object({ type: z.literal('agent_message'), text: z.string() }),
});
const codexTurnSchema = z.object({ type: z.literal('turn.completed'), usage: anything });
const codexUsageSchema = z.object({
  input_tokens: anything,
  cached_input_tokens: anything,
  output_tokens: anything,
});

/** Characters. */
const HYPOTHESIS_LENGTH = 4000;

/** @param stdout all that the command printed, control characters included */

export function readAgentOutput(stdout: string): AgentReport {
  const values = jsonValuesIn(withoutControls(stdout));
  const results = values.flatMap((value) => claudeSchema.safeParse(value).data ?? []);
  const turns = values.flatMap((value) => codexTurnSchema.safeParse(value).data ?? []);
  const messages = values.flatMap((value) => codexMessageSchema.safeParse(value).data?.item.text ?? []);
  const message = [...messages, ...results.map(({ result }) => result ?? '')].at(-1) ?? '';
  const own = ownIn(values);
  // The model writes the message, but only the program around it knows the cost.
  const inMessage = ownIn(jsonValuesIn(message));
  const costs = own?.dollars == null ? results.map((result) => amountOf(result.total_cost_usd)) : [];
  const usages = [...results.map(claudeUsage), ...turns.map(codexUsage)];
  const known = costs.filter((cost) => cost !== null);
  const dollars = own?.dollars == null ? sumOf(costs) : amountOf(own.dollars);
  return {
    title: textOf(own?.title) ?? textOf(inMessage?.title) ?? firstLine(message),
    hypothesis:
      textOf(own?.hypothesis) ??
      textOf(inMessage?.hypothesis) ??
      textOf(message)?.slice(0, HYPOTHESIS_LENGTH) ??
      null,
    dollars,
    atLeast: known.reduce((sum, cost) => sum + cost, 0),
    usage: usages.every((usage) => usage !== null) && usages.length > 0 ? usages.reduce(addUsage) : null,
  };
}

/** Null for no costs, or when one is unknown. */
function sumOf(costs: readonly (number | null)[]): number | null {
  return costs.length === 0
    ? null
    : costs.reduce((sum, cost) => (sum === null || cost === null ? null : sum + cost));
}

const textOf = (text: string | null | undefined): string | null =>
  text == null || text.trim() === '' ? null : text;

const OWN_FIELDS = ['title', 'hypothesis', 'dollars'];

/** The last of our own objects; the agents' objects have a `type`. */
function ownIn(values: readonly unknown[]): z.infer<typeof ownSchema> | null {
  const own = values.findLast(
    (value) =>
      typeof value === 'object' &&
      value !== null &&
      !('type' in value) &&
      OWN_FIELDS.some((field) => field in value),
  );
  return ownSchema.safeParse(own).data ?? null;
}

/** Null when a figure is missing or invalid. */
function claudeUsage({ usage, modelUsage }: z.infer<typeof claudeSchema>): Usage | null {
  const given = claudeUsageSchema.safeParse(usage).data;
  const input = tokensOf(given?.input_tokens);
  const output = tokensOf(given?.output_tokens);
  const cacheWrite = tokensOf(given?.cache_creation_input_tokens ?? 0);
  const cacheRead = tokensOf(given?.cache_read_input_tokens ?? 0);
  if (input === null || output === null || cacheWrite === null || cacheRead === null) return null;
  const model = Object.keys(modelUsage ?? {}).join(', ') || 'claude';
  return { ...noUsage(model), calls: 1, input, cacheWrite, cacheRead, output };
}

/** Codex counts cached tokens as input, and names neither its model nor its price. */
function codexUsage({ usage }: z.infer<typeof codexTurnSchema>): Usage | null {
  const given = codexUsageSchema.safeParse(usage).data;
  const input = tokensOf(given?.input_tokens);
  const output = tokensOf(given?.output_tokens);
  const cacheRead = tokensOf(given?.cached_input_tokens ?? 0);
  if (input === null || output === null || cacheRead === null) return null;
  return { ...noUsage('codex'), calls: 1, input: Math.max(0, input - cacheRead), cacheRead, output };
}

function firstLine(message: string): string | null {
  const line = message
    .split('\n')
    .map((each) => each.replace(/^[#*\s>-]+/, '').trim())
    .find((each) => each !== '');
  return line ?? null;
}

/** Escape sequences of terminals: window titles and links (OSC), other strings, colours and modes (CSI), the rest. */
const CONTROLS = [
  /(?:\u001b\]|\u009d)[^\u0007\u001b\u009c\n]*(?:\u0007|\u001b\\|\u009c)/g,
  /\u001b[PX^_][^\u001b\n]*\u001b\\/g,
  /(?:\u001b\[|\u009b)[0-?]*[ -/]*[@-~]/g,
  /\u001b[ -/]*[0-~]?/g,
  // A byte order mark, and characters that some shells print between lines.
  /[\ufeff\u0000\u0007\u0008]/g,
];

/** Loses nothing of a JSON value: JSON has control characters only as escapes. */
const withoutControls = (text: string): string =>
  CONTROLS.reduce((left, control) => left.replace(control, ''), text).replace(/\r\n?/g, '\n');
