/**
 * What a command said of its change and of its cost, on stdout: a JSON object of ours on the last line; the result of
 * `claude -p --output-format json` (or `stream-json`); the events of `codex exec --json`. An agent's last message may
 * hold our object too, on its last line.
 */
import { z } from 'zod';
import { addUsage, noUsage, type Usage } from '../domain/money';

export interface AgentReport {
  title: string | null;
  hypothesis: string | null;
  /** US dollars, where it says so. */
  dollars: number | null;
  usage: Usage | null;
}

const reportSchema = z.object({
  title: z.string().min(1).max(1000).optional(),
  hypothesis: z.string().max(4000).optional(),
  dollars: z.number().nonnegative().optional(),
});

const tokens = z.int().nonnegative().default(0);

const claudeSchema = z.object({
  type: z.literal('result'),
  result: z.string().default(''),
  total_cost_usd: z.number().nonnegative().optional(),
  modelUsage: z.record(z.string(), z.unknown()).optional(),
  usage: z
    .object({
      input_tokens: tokens,
      cache_creation_input_tokens: tokens,
      cache_read_input_tokens: tokens,
      output_tokens: tokens,
    })
    .optional(),
});

const codexSchema = z.union([
  z.object({
    type: z.literal('item.completed'),
    item: z.object({ type: z.literal('agent_message'), text: z.string() }),
  }),
  z.object({
    type: z.literal('turn.completed'),
    usage: z.object({ input_tokens: tokens, cached_input_tokens: tokens, output_tokens: tokens }),
  }),
]);

const HYPOTHESIS_LENGTH = 4000;

export function readAgentOutput(stdout: string): AgentReport {
  const lines = stdout.trimEnd().split('\n');
  let message = '';
  let dollars: number | null = null;
  let usage: Usage | null = null;
  for (const value of objectsIn(lines)) {
    const claude = claudeSchema.safeParse(value);
    if (claude.success) {
      message = claude.data.result;
      dollars = (dollars ?? 0) + (claude.data.total_cost_usd ?? 0);
      usage = claudeUsage(claude.data, usage);
      continue;
    }
    const codex = codexSchema.safeParse(value);
    if (codex.success) {
      if (codex.data.type === 'item.completed') message = codex.data.item.text;
      else usage = codexUsage(codex.data.usage, usage);
    }
  }
  const own = reportIn(lines.at(-1)) ?? reportIn(message.trimEnd().split('\n').at(-1)) ?? {};
  return {
    title: own.title ?? firstLine(message),
    hypothesis: own.hypothesis ?? (message === '' ? null : message.slice(0, HYPOTHESIS_LENGTH)),
    dollars: own.dollars ?? dollars,
    usage,
  };
}

/** Each line that is a JSON object, or the whole when it is one over several lines. */
function objectsIn(lines: readonly string[]): unknown[] {
  const objects = lines.flatMap((line) => parse(line) ?? []);
  return objects.length > 0 ? objects : [parse(lines.join('\n')) ?? []].flat();
}

function parse(text: string): object | null {
  if (!text.trimStart().startsWith('{')) return null;
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' ? value : null;
  } catch {
    return null;
  }
}

function reportIn(line = ''): z.infer<typeof reportSchema> | null {
  const report = reportSchema.safeParse(parse(line));
  return report.success && Object.keys(report.data).length > 0 ? report.data : null;
}

function claudeUsage(
  { usage, modelUsage }: z.infer<typeof claudeSchema>,
  before: Usage | null,
): Usage | null {
  if (usage === undefined) return before;
  const model = Object.keys(modelUsage ?? {}).join(', ') || 'claude';
  const now: Usage = {
    ...noUsage(model),
    calls: 1,
    input: usage.input_tokens,
    cacheWrite: usage.cache_creation_input_tokens,
    cacheRead: usage.cache_read_input_tokens,
    output: usage.output_tokens,
  };
  return before === null ? now : addUsage(before, now);
}

/** Codex counts cached tokens among its input. It says neither its model nor its price. */
function codexUsage(
  {
    input_tokens,
    cached_input_tokens,
    output_tokens,
  }: { input_tokens: number; cached_input_tokens: number; output_tokens: number },
  before: Usage | null,
): Usage {
  const now: Usage = {
    ...noUsage('codex'),
    calls: 1,
    input: Math.max(0, input_tokens - cached_input_tokens),
    cacheRead: cached_input_tokens,
    output: output_tokens,
  };
  return before === null ? now : addUsage(before, now);
}

function firstLine(message: string): string | null {
  const line = message
    .split('\n')
    .map((each) => each.replace(/^[#*\s>-]+/, '').trim())
    .find((each) => each !== '');
  return line ?? null;
}
