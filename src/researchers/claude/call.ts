/** One call of the Messages API: streamed, watched for silence, and paid through the spend guard. */
import Anthropic, { APIError } from '@anthropic-ai/sdk';
import { Stream as ServerSentEvents } from '@anthropic-ai/sdk/streaming';
import { z } from 'zod';
import { costAtMost, costOf, noUsage, type Usage } from '../../domain/money';
import type { ModelSettings } from '../../domain/study';
import type { SpendGuard } from '../spend-guard';
import { NoProposal } from '../researcher';
import { wasNeverConnected } from './connection';
import { fetchByProxy } from './fetch';
import { Stream, UnreadableAnswer, type AnswerBlock } from './stream';
import {
  filterOf,
  NoStream,
  stalled,
  STOP,
  failureOf,
  unanswered,
  unaskable,
  unreadable,
} from './api-errors';

export interface CallTimes {
  /** The longest silence of a live stream, in milliseconds; the API sends pings. */
  quietMs: number;
  /** The longest that a whole answer may take, in milliseconds. */
  wholeMs: number;
}

/** The longest answer has about 16 MiB of events, and an event a few bytes. */
const MAX_ANSWER_BYTES = 64 << 20;
const MAX_EVENT_BYTES = 4 << 20;
const LINE_BREAK = 10;

export type Question = Pick<Anthropic.MessageCreateParams, 'system' | 'messages' | 'tools'>;

export interface Answer {
  content: AnswerBlock[];
  stop: string;
  /** Why the model declined; null when it did not, or did not say. */
  explanation: string | null;
  usage: Usage;
}

/**
 * @param inputTokens upper estimate of the question's tokens; the call reserves their price
 * @returns the answer; a refusal when the API's content filter withheld it
 * @throws BudgetExhausted before the call when the dollars left do not cover it
 * @throws ApplicationFailure when the API fails: retryable for outages, not for what a person must fix
 * @throws TooLong when the API counts more tokens than the model takes
 * @throws NoProposal when the answer takes too long or is unreadable
 * @throws the signal's reason when it is aborted
 */
export async function call(
  question: Question,
  inputTokens: number,
  model: ModelSettings,
  spendGuard: SpendGuard,
  times: CallTimes,
  signal: AbortSignal,
): Promise<Answer> {
  const { price, answerTokens } = model;
  const atMost = price === null ? 0 : costAtMost(inputTokens, answerTokens, price);
  return spendGuard.spend(atMost, async (settle) => {
    const pay = (usage: Usage | null): void => {
      if (price === null) settle(0);
      else settle(usage === null ? null : costOf(usage, price));
    };
    const watch = new Watch(times, signal);
    const stream = new Stream(model.name);
    try {
      const params = { ...paramsOf(question, model), stream: true as const };
      const request = clientOf(watch, times.quietMs).messages.create(params, { signal: watch.signal });
      await readInto(stream, await request.asResponse());
      const { stop, content, explanation, usage } = stream;
      if (stop === null) throw new Error('the answer ended in the middle');
      pay(usage);
      return { content, stop, explanation, usage: usage ?? { ...noUsage(model.name), calls: 1 } };
    } catch (error) {
      const failure = watch.why ?? error;
      const usage = stream.stop === null ? stream.usageAtMost(answerTokens) : stream.usage;
      if (usage !== null) pay(usage);
      else if (!signal.aborted && wasNeverAnswered(error, watch, stream)) settle(0);
      // The answer has ended, so its reservation can be settled.
      else if (failure instanceof UnreadableAnswer) pay(null);
      if (signal.aborted) throw signal.reason;
      if (failure instanceof UnreadableAnswer) throw unreadable(failure);
      if (watch.why !== null && (watch.begun || watch.why instanceof NoProposal)) throw watch.why;
      if (!watch.asked) throw unaskable(error);
      const explanation = filterOf(error);
      if (explanation === null) throw problemOf(error, watch, model.name);
      return {
        content: [],
        stop: 'refusal',
        explanation,
        usage: usage ?? { ...noUsage(model.name), calls: 1 },
      };
    } finally {
      watch.end();
    }
  });
}

/** Distinguishes a question that the API may have received, and charged for, from one that it did not receive. */
function problemOf(error: unknown, watch: Watch, model: string): Error {
  const failure = watch.why ?? watch.failure ?? error;
  const isSent =
    !wasNeverConnected(watch.failure) && !(error instanceof APIError && error.status !== undefined);
  return isSent && !watch.begun ? unanswered(failure) : failureOf(failure, model);
}

/** @throws UnreadableAnswer, NoStream, APIError for an error that the API streams */
async function readInto(stream: Stream, response: Response): Promise<void> {
  const type = response.headers.get('content-type') ?? '';
  if (/\bjson\b/i.test(type)) return readWhole(stream, response);
  if (!isEventStream(response) && !/^(text\/plain.*)?$/i.test(type)) {
    await response.body?.cancel();
    throw new NoStream(`it answered with ${type.slice(0, 100)} instead of an event stream`);
  }
  for await (const { event, data } of ServerSentEvents.rawEvents(response)) {
    const message = parse(data);
    if (event === 'error' || typeOf(message) === 'error') throw streamedError(message ?? data, response);
    if (message === null && event !== 'ping' && data.trim() !== '' && data.trim() !== '[DONE]')
      throw isEventStream(response)
        ? new UnreadableAnswer('one of its events is not JSON')
        : new NoStream('it answered with text instead of an event stream');
    // Some proxies omit the names of events, others their types.
    if (message !== null || event === 'ping') stream.add({ type: event, ...message });
  }
  if (stream.events === 0) throw new NoStream('it answered with an empty stream');
}

async function readWhole(stream: Stream, response: Response): Promise<void> {
  const message = parse(await response.text());
  if (typeOf(message) === 'error') throw streamedError(message, response);
  if (!stream.addWhole(message)) throw new NoStream('it answered with JSON that is not a message');
}

const isEventStream = (response: Response): boolean =>
  /^text\/event-stream\b/i.test(response.headers.get('content-type') ?? '');

const typeOf = (message: object | null): unknown =>
  message !== null && 'type' in message ? message.type : null;

function parse(text: string): object | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' ? value : null;
  } catch {
    return null;
  }
}

const errorTypeSchema = z.custom<NonNullable<APIError['type']>>((type) => typeof type === 'string');
const streamedErrorSchema = z.object({ error: z.object({ type: errorTypeSchema }) });

/** The error that the SDK makes of one in a stream: without a status. */
function streamedError(message: unknown, { headers }: Response): APIError {
  const body =
    typeof message === 'object' && message !== null ? message : { error: { message: String(message) } };
  const type = streamedErrorSchema.safeParse(body).data?.error.type ?? null;
  return new APIError(undefined, body, undefined, headers, type);
}

function clientOf(watch: Watch, timeout: number): Anthropic {
  return new Anthropic({
    apiKey: process.env['ANTHROPIC_API_KEY']?.trim() ?? null,
    // Temporal retries: its retries outlast this process, and the user sees them.
    maxRetries: 0,
    timeout,
    logLevel: 'off',
    openTelemetry: false,
    fetch: (url, init) => watch.fetch(url, init),
  });
}

/** Models before 4.6 need a token budget to think, and most of them take no effort. */
const EARLIER = /^claude-(haiku|sonnet|opus)-4-5/;
const EARLIER_WITH_EFFORT = /^claude-opus-4-5/;

function paramsOf(
  question: Question,
  { name, effort, answerTokens }: ModelSettings,
): Anthropic.MessageCreateParamsNonStreaming {
  const earlier = EARLIER.test(name);
  const takesEffort = !earlier || EARLIER_WITH_EFFORT.test(name);
  return {
    ...question,
    model: name,
    max_tokens: answerTokens,
    // Streamed summaries keep a long thought from looking like silence.
    thinking: earlier
      ? { type: 'enabled', budget_tokens: Math.max(1024, Math.floor(answerTokens / 2)) }
      : { type: 'adaptive', display: 'summarized' },
    ...(takesEffort ? { output_config: { effort } } : {}),
  };
}

/** Ends a call that is silent for too long, or takes too long as a whole. */
class Watch {
  why: Error | null = null;
  /** The SDK has made a request from the question. */
  asked = false;
  /** The API has started a stream, so it has received the question. */
  begun = false;
  /** The error of fetch: the SDK drops its cause when it looks like a timeout. */
  failure: unknown = null;
  private readonly controller = new AbortController();
  private readonly whole: NodeJS.Timeout;
  private quiet: NodeJS.Timeout;
  readonly signal: AbortSignal;

  constructor(
    private readonly times: CallTimes,
    outer: AbortSignal,
  ) {
    this.signal = AbortSignal.any([outer, this.controller.signal]);
    this.whole = setTimeout(() => this.giveUp(tooSlow(times.wholeMs / 1000)), times.wholeMs);
    this.quiet = this.waitQuietly();
  }

  /** Like fetch, but notices each byte of the answer: the SDK hides pings. */
  async fetch(url: Parameters<typeof fetch>[0], init?: RequestInit): Promise<Response> {
    this.asked = true;
    const response = await fetchByProxy(url, init).catch((error: unknown) => {
      this.failure = error;
      throw error;
    });
    this.heard();
    this.begun = response.ok && isEventStream(response);
    if (response.body === null) return response;
    let bytes = 0;
    let line = 0;
    const seen = new TransformStream<Uint8Array, Uint8Array>({
      transform: (chunk, controller) => {
        this.heard();
        bytes += chunk.length;
        const end = chunk.lastIndexOf(LINE_BREAK);
        line = end === -1 ? line + chunk.length : chunk.length - end - 1;
        if (line > MAX_EVENT_BYTES || bytes > MAX_ANSWER_BYTES) {
          const what = line > MAX_EVENT_BYTES ? 'one of its events' : 'it';
          const most = Math.min(MAX_ANSWER_BYTES, line > MAX_EVENT_BYTES ? MAX_EVENT_BYTES : Infinity);
          this.giveUp(new UnreadableAnswer(`${what} has more than ${most >> 20} MiB`));
        } else controller.enqueue(chunk);
      },
    });
    return new Response(response.body.pipeThrough(seen), response);
  }

  end(): void {
    clearTimeout(this.whole);
    clearTimeout(this.quiet);
  }

  private heard(): void {
    clearTimeout(this.quiet);
    this.quiet = this.waitQuietly();
  }

  private waitQuietly(): NodeJS.Timeout {
    const { quietMs } = this.times;
    return setTimeout(() => this.giveUp(stalled(`it was silent for ${quietMs / 1000} s`)), quietMs);
  }

  private giveUp(why: Error): void {
    this.why = why;
    this.controller.abort();
  }
}

/** The next answer may take as long, so this counts as an answer without a proposal. */
const tooSlow = (seconds: number): NoProposal =>
  new NoProposal(
    `the model's answer was not complete after ${seconds} s (for shorter answers, lower --effort or --answer-tokens: ${STOP}, then \`npx autoresearch resume --answer-tokens N\`)`,
  );

/** True when the call cost nothing: the API answered with an error, or not with an event stream. */
function wasNeverAnswered(error: unknown, { begun }: Watch, { events }: Stream): boolean {
  if (!begun && events === 0) return true;
  // An error inside a stream has a type and no status.
  return error instanceof APIError && (error.status !== undefined || error.type !== null);
}
