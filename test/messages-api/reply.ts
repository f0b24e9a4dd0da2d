/**
 * What the local API answers, and the events that it streams it as. Shapes from the API's documentation:
 * platform.claude.com/docs, "Streaming messages", "Handling stop reasons", "Errors".
 */
import { createHash, randomUUID } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import { tokensOf } from './tokens';

export type StopReason = 'end_turn' | 'max_tokens' | 'tool_use' | 'pause_turn' | 'refusal';

export type ReplyBlock =
  | { type: 'text'; text: string }
  | { type: 'thinking'; thinking: string }
  /** `raw` is streamed as it is, whether it is JSON or not. */
  | { type: 'tool_use'; name: string; input: unknown; raw?: string };

export interface Answered {
  blocks: ReplyBlock[];
  stop: StopReason;
  /** After so many events: the connection breaks, nothing more comes, or an `error` event does. */
  broken?: { after: number; how: 'disconnect' | 'hang' | 'ping' | { type: string; message: string } };
}

export interface Failed {
  status: number;
  type: string;
  message: string;
  headers?: Record<string, string>;
}

/** What a proxy answers in its own way: it writes the whole response itself. */
export interface Raw {
  raw: (response: ServerResponse) => unknown;
}

export type Reply = Answered | Failed | Raw;

export const text = (said: string): ReplyBlock => ({ type: 'text', text: said });
export const thinking = (thought: string): ReplyBlock => ({ type: 'thinking', thinking: thought });
export const toolUse = (name: string, input: unknown): ReplyBlock => ({ type: 'tool_use', name, input });
export const malformed = (name: string, raw: string): ReplyBlock => ({
  type: 'tool_use',
  name,
  input: {},
  raw,
});

/** An answer that ends as such blocks do. */
export function answer(...blocks: ReplyBlock[]): Answered {
  return { blocks, stop: blocks.some(({ type }) => type === 'tool_use') ? 'tool_use' : 'end_turn' };
}

export const refusal = (): Answered => ({ blocks: [], stop: 'refusal' });
export const cutOff = (...blocks: ReplyBlock[]): Answered => ({ blocks, stop: 'max_tokens' });
export const paused = (...blocks: ReplyBlock[]): Answered => ({ blocks, stop: 'pause_turn' });

export const rateLimited = (retryAfter?: string): Failed => ({
  status: 429,
  type: 'rate_limit_error',
  message: "This request would exceed your account's rate limit. Please try again later.",
  ...(retryAfter === undefined ? {} : { headers: { 'retry-after': retryAfter } }),
});
export const overloaded = (): Failed => ({ status: 529, type: 'overloaded_error', message: 'Overloaded' });
export const serverError = (): Failed => ({
  status: 500,
  type: 'api_error',
  message: 'Internal server error',
});
export const forbidden = (): Failed => ({
  status: 403,
  type: 'permission_error',
  message: 'Your API key does not have permission to use the specified resource.',
});
export const noCredit = (): Failed => ({
  status: 400,
  type: 'invalid_request_error',
  message: 'Your credit balance is too low to access the Anthropic API.',
});

/** What the API says of an answer that its filter held back, at random for harmless code (anthropics/claude-code#28205). */
const FILTERED = { type: 'invalid_request_error', message: 'Output blocked by content filtering policy' };
export const filtered = (): Failed => ({ status: 400, ...FILTERED });
export const filteredInTheMiddle = (reply: Answered): Answered => brokenAfter(reply, 4, FILTERED);

/** The answer's stream, broken where `broken` says. */
export const brokenAfter = (
  reply: Answered,
  after: number,
  how: NonNullable<Answered['broken']>['how'],
): Answered => ({ ...reply, broken: { after, how } });

export interface InputUsage {
  input_tokens: number;
  cache_creation_input_tokens: number;
  cache_read_input_tokens: number;
  cache_creation: { ephemeral_5m_input_tokens: number; ephemeral_1h_input_tokens: number };
}

export const outputTokens = ({ blocks }: Answered): number =>
  1 + blocks.reduce((sum, block) => sum + tokensOf(bodyOf(block)), 0);

/** The server sends signatures, and wants them back as they were. */
export const signatureOf = (thought: string): string => createHash('sha256').update(thought).digest('hex');

/** The answer as server-sent events, each with its name. */
export function eventsOf(reply: Answered, model: string, input: InputUsage): { type: string }[] {
  const usage = { ...input, output_tokens: 1, service_tier: 'standard' };
  const message = {
    id: `msg_${randomUUID()}`,
    type: 'message',
    role: 'assistant',
    model,
    content: [],
    stop_reason: null,
    stop_sequence: null,
    usage,
  };
  const details =
    reply.stop === 'refusal'
      ? {
          stop_details: {
            type: 'refusal',
            category: 'frontier_llm',
            explanation: 'This request was declined.',
          },
        }
      : {};
  return [
    Object.assign({ type: 'message_start' }, { message }),
    { type: 'ping' },
    ...reply.blocks.flatMap(blockEvents),
    Object.assign(
      { type: 'message_delta' },
      {
        delta: { stop_reason: reply.stop, stop_sequence: null, ...details },
        usage: { ...input, output_tokens: outputTokens(reply) },
      },
    ),
    { type: 'message_stop' },
  ];
}

function blockEvents(block: ReplyBlock, index: number): { type: string }[] {
  const start = (content_block: object) =>
    Object.assign({ type: 'content_block_start' }, { index, content_block });
  const delta = (change: object) => Object.assign({ type: 'content_block_delta' }, { index, delta: change });
  const stop = Object.assign({ type: 'content_block_stop' }, { index });
  const body = bodyOf(block);
  switch (block.type) {
    case 'text':
      return [
        start({ type: 'text', text: '' }),
        ...pieces(body).map((piece) => delta({ type: 'text_delta', text: piece })),
        stop,
      ];
    case 'thinking':
      return [
        start({ type: 'thinking', thinking: '', signature: '' }),
        ...pieces(body).map((piece) => delta({ type: 'thinking_delta', thinking: piece })),
        delta({ type: 'signature_delta', signature: signatureOf(body) }),
        stop,
      ];
    case 'tool_use':
    default:
      return [
        start({ type: 'tool_use', id: `toolu_${randomUUID()}`, name: block.name, input: {} }),
        delta({ type: 'input_json_delta', partial_json: '' }),
        ...pieces(body).map((piece) => delta({ type: 'input_json_delta', partial_json: piece })),
        stop,
      ];
  }
}

function bodyOf(block: ReplyBlock): string {
  if (block.type === 'text') return block.text;
  return block.type === 'thinking' ? block.thinking : (block.raw ?? JSON.stringify(block.input));
}

/** Some characters at a time, as a model's tokens come. */
const pieces = (body: string): string[] => body.match(/[\s\S]{1,40}/g) ?? [];
