/**
 * Puts an answer together from the events of its stream. Proxies speak the Messages API in their own ways, so no field is taken
 * for granted.
 */
import type Anthropic from '@anthropic-ai/sdk';
import { z } from 'zod';
import { noUsage, tokensOf, type Usage } from '../../domain/money';

/** A tool call whose input is still the text that the model wrote; it may not be JSON. */
export interface ToolCall {
  type: 'tool_use';
  id: string;
  name: string;
  json: string;
}

export type AnswerBlock = Exclude<Anthropic.ContentBlock, { type: 'tool_use' }> | ToolCall;

/** The answer does not follow the Messages API; the message says why. */
export class UnreadableAnswer extends Error {
  override name = 'UnreadableAnswer';
}

/** A model's turn has only a few. */
const MAX_BLOCKS = 1000;

const anything = z.unknown().optional();
const object = z.record(z.string(), anything);
const text = z.string().catch('');
const eventSchema = z.object({
  type: z.string(),
  index: z.number().nullish().catch(null),
  message: object.catch({}),
  content_block: object.catch({}),
  delta: object.catch({}),
  usage: object.nullish().catch({ output_tokens: 'unreadable' }),
});
const otherSchema = z.custom<Exclude<AnswerBlock, ToolCall>>((block) => object.safeParse(block).success);
const toolSchema = z.object({ id: text, name: text, input: object.catch({}) });
const messageSchema = z.object({
  type: z.literal('message'),
  content: z.array(object),
  stop_reason: z.string().nullish(),
  usage: anything,
});

type Figure = 'input_tokens' | 'cache_creation_input_tokens' | 'cache_read_input_tokens' | 'output_tokens';
const FIGURES: readonly Figure[] = [
  'input_tokens',
  'cache_creation_input_tokens',
  'cache_read_input_tokens',
  'output_tokens',
];

interface Open {
  index: number;
  block: AnswerBlock;
  /** A tool's input when it came whole instead of in pieces. */
  whole: Record<string, unknown>;
}

export class Stream {
  /** How many events of the Messages API have arrived. */
  events = 0;
  /** The last event has arrived. */
  private stopped = false;
  private reason: string | null = null;
  /** Why the model declined; null when it did not, or did not say. */
  explanation: string | null = null;
  /** The highest figures so far; null for a figure that was not a number of tokens. */
  private readonly tokens = new Map<Figure | 'hour', number | null>();
  private readonly blocks: Open[] = [];

  constructor(private readonly model: string) {}

  get content(): AnswerBlock[] {
    return this.blocks
      .toSorted((a, b) => a.index - b.index)
      .map(({ block, whole }) =>
        block.type === 'tool_use' && block.json === '' && Object.keys(whole).length > 0
          ? { ...block, json: JSON.stringify(whole) }
          : block,
      );
  }

  /** The reason why the answer ended; null while it has not. Some proxies omit the reason, others the last event. */
  get stop(): string | null {
    if (this.reason !== null || !this.stopped) return this.reason;
    return this.blocks.some(({ block }) => block.type === 'tool_use') ? 'tool_use' : 'end_turn';
  }

  /** The tokens used; null when figures are missing or impossible. */
  get usage(): Usage | null {
    return this.usageWith(this.figure('output_tokens'));
  }

  /** The most tokens that an unfinished answer has used; null when its input tokens are unknown. */
  usageAtMost(answerTokens: number): Usage | null {
    return this.usageWith(answerTokens);
  }

  /** @throws UnreadableAnswer */
  add(given: unknown): void {
    const { data: event } = eventSchema.safeParse(given);
    if (event === undefined) throw new UnreadableAnswer('one of its events has no type');
    switch (event.type) {
      case 'message_start':
        this.events++;
        this.count(object.safeParse(event.message['usage']).data ?? null);
        break;
      case 'content_block_start':
        this.events++;
        this.begin(event.index ?? this.blocks.length, event.content_block);
        break;
      case 'content_block_delta':
        this.events++;
        this.extend(event.index ?? null, event.delta);
        break;
      case 'message_delta':
        this.events++;
        this.end(event.delta);
        this.count(event.usage ?? null);
        break;
      case 'message_stop':
        this.events++;
        this.stopped = true;
        break;
      case 'ping':
      case 'content_block_stop':
        this.events++;
        break;
    }
  }

  /** Adds an answer that came whole, from a proxy that does not stream. @returns false when it is not an answer */
  addWhole(given: unknown): boolean {
    const { data: message } = messageSchema.safeParse(given);
    if (message === undefined) return false;
    this.add({ type: 'message_start', message: { usage: message.usage } });
    for (const [index, content_block] of message.content.entries())
      this.add({ type: 'content_block_start', index, content_block });
    this.add({ type: 'message_delta', delta: message });
    this.add({ type: 'message_stop' });
    return true;
  }

  private begin(index: number, block: Record<string, unknown>): void {
    if (this.blocks.length === MAX_BLOCKS)
      throw new UnreadableAnswer(`it has more than ${MAX_BLOCKS} blocks`);
    const { id, name, input } = toolSchema.parse(block);
    const begun = { ...block, type: text.parse(block['type']) };
    this.blocks.push({
      index,
      block:
        begun.type === 'tool_use'
          ? { type: 'tool_use', id: id || `toolu_${this.blocks.length}`, name, json: '' }
          : // Blocks of other types are sent back as they came.
            otherSchema.parse(withTexts(begun)),
      whole: input,
    });
  }

  private extend(index: number | null, delta: Record<string, unknown>): void {
    // Some proxies number each block 0: use the last one with that number.
    const open = index === null ? this.blocks.at(-1) : this.blocks.findLast((each) => each.index === index);
    if (open === undefined) throw new UnreadableAnswer('it continues a block that it did not start');
    const { block } = open;
    const piece = (field: string): string => text.parse(delta[field]);
    if (block.type === 'text') block.text += piece('text');
    else if (block.type === 'tool_use') block.json += piece('partial_json');
    else if (block.type === 'thinking') {
      block.thinking += piece('thinking');
      block.signature = piece('signature') || block.signature;
    }
  }

  private end(delta: Record<string, unknown>): void {
    const { data } = z.string().min(1).safeParse(delta['stop_reason']);
    if (data !== undefined) this.reason = data;
    const details = object.safeParse(delta['stop_details']).data;
    this.explanation = z.string().safeParse(details?.['explanation']).data ?? this.explanation;
  }

  /** Figures are cumulative, and some come only at the end: the highest of each counts. */
  private count(usage: Record<string, unknown> | null): void {
    if (usage === null) return;
    const given: [Figure | 'hour', unknown][] = FIGURES.map((name) => [name, usage[name]]);
    const written = object.safeParse(usage['cache_creation']).data;
    given.push(['hour', written?.['ephemeral_1h_input_tokens']]);
    for (const [name, value] of given) {
      if (value === undefined || value === null) continue;
      const before = this.tokens.get(name);
      const now = tokensOf(value);
      this.tokens.set(name, before === null || now === null ? null : Math.max(before ?? 0, now));
    }
  }

  /** Null when it is invalid; `missing` when it never came. */
  private figure(name: Figure | 'hour', missing: number | null = null): number | null {
    const tokens = this.tokens.get(name);
    return tokens === undefined ? missing : tokens;
  }

  private usageWith(output: number | null): Usage | null {
    const input = this.figure('input_tokens');
    const written = this.figure('cache_creation_input_tokens', 0);
    const hour = this.figure('hour', 0);
    const cacheRead = this.figure('cache_read_input_tokens', 0);
    if (input === null || output === null || written === null || hour === null || cacheRead === null)
      return null;
    // Neither a question nor an answer is ever empty: these zeros come from a proxy that does not count.
    if (input + written + cacheRead === 0 || (output === 0 && this.blocks.length > 0)) return null;
    const cacheWriteHour = Math.min(hour, written);
    const cacheWrite = written - cacheWriteHour;
    return { ...noUsage(this.model), calls: 1, input, cacheWrite, cacheWriteHour, cacheRead, output };
  }
}

/** Adds the texts that the event omits, as empty ones. */
function withTexts(block: Record<string, unknown> & { type: string }): Record<string, unknown> {
  if (block.type === 'text') return { ...block, text: text.parse(block['text']) };
  if (block.type !== 'thinking') return block;
  return { ...block, thinking: text.parse(block['thinking']), signature: text.parse(block['signature']) };
}
