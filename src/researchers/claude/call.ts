/** One call of the Messages API: streamed, watched for silence, paid from the purse, and written down. */
import Anthropic, { APIError } from '@anthropic-ai/sdk';
import { costAtMost, costOf, type Usage } from '../../domain/money';
import type { ModelSettings } from '../../domain/study';
import { errorCode } from '../../process/error-code';
import type { Purse } from '../purse';
import { Stream, type AnswerBlock } from './stream';
import { stalled, troubleOf } from './trouble';

export interface CallTimes {
  /** Without a byte for so long, a stream is dead: a live one sends pings. */
  quietMs: number;
  /** An answer that takes longer never ends. */
  wholeMs: number;
}

export type Question = Pick<Anthropic.MessageCreateParams, 'system' | 'messages' | 'tools'>;

export interface Answer {
  content: AnswerBlock[];
  stop: Anthropic.StopReason;
  /** Why the model declined, where it did and says so. */
  explanation: string | null;
  usage: Usage;
}

/** The connection was not made: nothing was asked, nothing is owed. */
const NEVER_ASKED = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'UND_ERR_CONNECT_TIMEOUT',
]);

/**
 * @param inputTokens what the question has at most: so much is reserved
 * @throws BudgetExhausted before the call; ApplicationFailure, TooLong from it; the signal's reason when it is aborted
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
    const pay = (usage: Usage): void => settle(price === null ? 0 : costOf(usage, price));
    const watch = new Watch(times, signal);
    const stream = new Stream();
    try {
      const params = { ...paramsOf(question, model), stream: true as const };
      const events = await clientOf(watch, times.quietMs).messages.create(params, { signal: watch.signal });
      for await (const event of events) stream.add(event);
      const { stop, content, explanation } = stream;
      if (!stream.whole || stream.usage === null || stop === null) {
        throw new Error('the answer broke off in the middle');
      }
      const usage = usageOf(stream.usage, model.name);
      pay(usage);
      return { content, stop, explanation, usage };
    } catch (error) {
      if (stream.usage !== null) pay(owed(stream.usage, stream.stop, model));
      else if (wasNeverAnswered(error)) settle(0);
      if (signal.aborted) throw signal.reason;
      throw watch.why ?? troubleOf(error, model.name);
    } finally {
      watch.end();
    }
  });
}

function clientOf(watch: Watch, timeout: number): Anthropic {
  return new Anthropic({
    apiKey: process.env['ANTHROPIC_API_KEY'] ?? null,
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
  private readonly controller = new AbortController();
  private readonly whole: NodeJS.Timeout;
  private quiet: NodeJS.Timeout;
  readonly signal: AbortSignal;

  constructor(
    private readonly times: CallTimes,
    outer: AbortSignal,
  ) {
    this.signal = AbortSignal.any([outer, this.controller.signal]);
    this.whole = setTimeout(
      () => this.giveUp(`the answer was not whole after ${times.wholeMs / 1000} s`),
      times.wholeMs,
    );
    this.quiet = this.waitQuietly();
  }

  /** As fetch, with an eye on each byte that comes: the SDK keeps pings to itself. */
  async fetch(url: Parameters<typeof fetch>[0], init?: RequestInit): Promise<Response> {
    const response = await fetch(url, init);
    this.heard();
    if (response.body === null) return response;
    const seen = new TransformStream<Uint8Array, Uint8Array>({
      transform: (chunk, controller) => {
        this.heard();
        controller.enqueue(chunk);
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
    return setTimeout(() => this.giveUp(`it was silent for ${quietMs / 1000} s`), quietMs);
  }

  private giveUp(what: string): void {
    this.why = stalled(what);
    this.controller.abort();
  }
}

function usageOf(usage: Anthropic.Usage, model: string): Usage {
  const written = usage.cache_creation_input_tokens ?? 0;
  const hour = usage.cache_creation?.ephemeral_1h_input_tokens ?? 0;
  return {
    model,
    calls: 1,
    input: usage.input_tokens,
    cacheWrite: written - hour,
    cacheWriteHour: hour,
    cacheRead: usage.cache_read_input_tokens ?? 0,
    output: usage.output_tokens,
  };
}

/** What a broken answer costs: its input is known, its output only where the end was reached. */
function owed(
  begun: Anthropic.Usage,
  stop: Anthropic.StopReason | null,
  { name, answerTokens }: ModelSettings,
): Usage {
  const usage = usageOf(begun, name);
  return stop === null ? { ...usage, output: answerTokens } : usage;
}

/** An error that the API answered with costs nothing, and neither does a connection that was never made. */
function wasNeverAnswered(error: unknown): boolean {
  if (error instanceof APIError && error.status !== undefined) return true;
  for (let cause = error; typeof cause === 'object' && cause !== null;) {
    if (NEVER_ASKED.has(errorCode(cause) ?? '')) return true;
    cause = 'cause' in cause ? cause.cause : null;
  }
  return false;
}
