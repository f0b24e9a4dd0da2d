/** One call of the Messages API: streamed, watched for silence, paid from the purse, and written down. */
import Anthropic, { APIError } from '@anthropic-ai/sdk';
import { costAtMost, costOf, noUsage, type Usage } from '../../domain/money';
import type { ModelSettings } from '../../domain/study';
import type { Purse } from '../purse';
import { NoProposal } from '../researcher';
import { wasNeverConnected } from './connection';
import { Stream, type AnswerBlock } from './stream';
import { filterOf, stalled, STOP, troubleOf, unaskable } from './trouble';

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
      const usage = stream.usage === null ? null : owed(stream.usage, stream.stop, model);
      if (usage !== null) pay(usage);
      else if (wasNeverAnswered(error, watch)) settle(0);
      if (signal.aborted) throw signal.reason;
      if (watch.why !== null) throw watch.why;
      if (!watch.asked) throw unaskable(error);
      const explanation = filterOf(error);
      if (explanation === null) throw troubleOf(watch.failure ?? error, model.name);
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
    const response = await fetch(url, init).catch((error: unknown) => {
      this.failure = error;
      throw error;
    });
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
    return setTimeout(() => this.giveUp(stalled(`it was silent for ${quietMs / 1000} s`)), quietMs);
  }

  private giveUp(why: Error): void {
    this.why = why;
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

/** Asked for again it may take as long again, so it counts as one of the answers that came to nothing. */
const tooSlow = (seconds: number): NoProposal =>
  new NoProposal(
    `its answer was not whole after ${seconds} s (a lower --effort or --answer-tokens asks for shorter ones: ${STOP}, then \`npx autoresearch resume --answer-tokens N\`)`,
  );

/** An error that the API answered with costs nothing, and neither does a question that was never sent. */
function wasNeverAnswered(error: unknown, { asked, failure }: Watch): boolean {
  if (!asked || wasNeverConnected(failure)) return true;
  // One that comes in a stream has a type and no status.
  return error instanceof APIError && (error.status !== undefined || error.type !== null);
}
