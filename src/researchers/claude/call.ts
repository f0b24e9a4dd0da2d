/** One call of the Messages API: streamed, watched for silence, paid from the purse, and written down. */
import Anthropic, { APIError } from '@anthropic-ai/sdk';
import { Stream as ServerSentEvents } from '@anthropic-ai/sdk/streaming';
import { z } from 'zod';
import { costAtMost, costOf, noUsage, type Usage } from '../../domain/money';
import type { ModelSettings } from '../../domain/study';
import type { Purse } from '../purse';
import { NoProposal } from '../researcher';
import { wasNeverConnected } from './connection';
import { fetchByProxy } from './fetch';
import { Stream, UnreadableAnswer, type AnswerBlock } from './stream';
import { filterOf, NoStream, stalled, STOP, troubleOf, unanswered, unaskable, unreadable } from './trouble';

export interface CallTimes {
  /** Without a byte for so long, a stream is dead: a live one sends pings. */
  quietMs: number;
  /** An answer that takes longer never ends. */
  wholeMs: number;
}

/** An answer of the most tokens has some 16 MiB with the events around them, and an event some bytes. */
const MAX_ANSWER_BYTES = 64 << 20;
const MAX_EVENT_BYTES = 4 << 20;
const LINE_BREAK = 10;

export type Question = Pick<Anthropic.MessageCreateParams, 'system' | 'messages' | 'tools'>;

export interface Answer {
  content: AnswerBlock[];
  stop: string;
  /** Why the model declined, where it did and says so. */
  explanation: string | null;
  usage: Usage;
}

/**
 * @param inputTokens what the question has at most: so much is reserved
 * @returns a refusal too where the API has filtered the answer out
 * @throws BudgetExhausted before the call; ApplicationFailure, TooLong from it; NoProposal where it takes too long; the signal's
 * reason when it is aborted
 */
export async function call(
  question: Question,
  inputTokens: number,
  model: ModelSettings,
  purse: Purse,
  times: CallTimes,
  signal: AbortSignal,
): Promise<Answer> {
  const { price, answerTokens } = model;
  const atMost = price === null ? 0 : costAtMost(inputTokens, answerTokens, price);
  return purse.spend(atMost, async (settle) => {
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
      if (stop === null) throw new Error('the answer broke off in the middle');
      pay(usage);
      return { content, stop, explanation, usage: usage ?? { ...noUsage(model.name), calls: 1 } };
    } catch (error) {
      const failure = watch.why ?? error;
      const usage = stream.stop === null ? stream.usageAtMost(answerTokens) : stream.usage;
      if (usage !== null) pay(usage);
      else if (!signal.aborted && wasNeverAnswered(error, watch, stream)) settle(0);
      // It came to an end, so nothing of it is under way any more.
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

/** An outage of which nobody knows whether the API has seen the question is not the same as one where it has not. */
function problemOf(error: unknown, watch: Watch, model: string): Error {
  const failure = watch.why ?? watch.failure ?? error;
  const isSent =
    !wasNeverConnected(watch.failure) && !(error instanceof APIError && error.status !== undefined);
  return isSent && !watch.begun ? unanswered(failure) : troubleOf(failure, model);
}

/** @throws UnreadableAnswer, NoStream, APIError for an error that the API streams */
async function readInto(stream: Stream, response: Response): Promise<void> {
  const type = response.headers.get('content-type') ?? '';
  if (/\bjson\b/i.test(type)) return readWhole(stream, response);
  if (!isEventStream(response) && !/^(text\/plain.*)?$/i.test(type)) {
    await response.body?.cancel();
    throw new NoStream(`it answered with ${type.slice(0, 100)}, not with an event stream`);
  }
  for await (const { event, data } of ServerSentEvents.rawEvents(response)) {
    const said = parse(data);
    if (event === 'error' || typeOf(said) === 'error') throw streamedError(said ?? data, response);
    if (said === null && event !== 'ping' && data.trim() !== '' && data.trim() !== '[DONE]')
      throw isEventStream(response)
        ? new UnreadableAnswer('an event of it is no JSON')
        : new NoStream('it answered with a text, not with an event stream');
    // Some proxies leave out the events' names, and others their types.
    if (said !== null || event === 'ping') stream.add({ type: event, ...said });
  }
  if (stream.events === 0) throw new NoStream('it answered with an empty stream');
}

async function readWhole(stream: Stream, response: Response): Promise<void> {
  const said = parse(await response.text());
  if (typeOf(said) === 'error') throw streamedError(said, response);
  if (!stream.addWhole(said)) throw new NoStream('it answered with JSON that is no message');
}

const isEventStream = (response: Response): boolean =>
  /^text\/event-stream\b/i.test(response.headers.get('content-type') ?? '');

const typeOf = (said: object | null): unknown => (said !== null && 'type' in said ? said.type : null);

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

/** As the SDK makes it of an error in a stream: without a status. */
function streamedError(said: unknown, { headers }: Response): APIError {
  const body = typeof said === 'object' && said !== null ? said : { error: { message: String(said) } };
  const type = streamedErrorSchema.safeParse(body).data?.error.type ?? null;
  return new APIError(undefined, body, undefined, headers, type);
}

function clientOf(watch: Watch, timeout: number): Anthropic {
  return new Anthropic({
    apiKey: process.env['ANTHROPIC_API_KEY']?.trim() ?? null,
    // Temporal waits and asks again: it lasts longer than a process, and it is seen.
    maxRetries: 0,
    timeout,
    logLevel: 'off',
    openTelemetry: false,
    fetch: (url, init) => watch.fetch(url, init),
  });
}

/** Models before 4.6 think by a budget alone, and most of them take no effort. */
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
    // Summaries come as they are made, so that a long thought is not taken for silence.
    thinking: earlier
      ? { type: 'enabled', budget_tokens: Math.max(1024, Math.floor(answerTokens / 2)) }
      : { type: 'adaptive', display: 'summarized' },
    ...(takesEffort ? { output_config: { effort } } : {}),
  };
}

/** Ends a call that is silent for too long, or takes too long as a whole. */
class Watch {
  why: Error | null = null;
  /** The SDK has made a request of the question. */
  asked = false;
  /** The API has begun to answer with a stream, so it has seen the question. */
  begun = false;
  /** What fetch was rejected with: the SDK leaves its cause out where it looks like a timeout. */
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

  /** As fetch, with an eye on each byte that comes: the SDK keeps pings to itself. */
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
          const what = line > MAX_EVENT_BYTES ? 'an event of it' : 'it';
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

/** Asked for again it may take as long again, so it counts as one of the answers that came to nothing. */
const tooSlow = (seconds: number): NoProposal =>
  new NoProposal(
    `its answer was not whole after ${seconds} s (a lower --effort or --answer-tokens asks for shorter ones: ${STOP}, then \`npx autoresearch resume --answer-tokens N\`)`,
  );

/** An error that the API answered with costs nothing, and neither does what is no event stream. */
function wasNeverAnswered(error: unknown, { begun }: Watch, { events }: Stream): boolean {
  if (!begun && events === 0) return true;
  // One that comes in a stream has a type and no status.
  return error instanceof APIError && (error.status !== undefined || error.type !== null);
}
