/**
 * Replays histories through workflow code and finds the first event that the code would not produce. Replay compares the commands
 * (which activity, child or timer, in which order), not their arguments.
 */
import { PassThrough } from 'node:stream';
import { setTimeout } from 'node:timers/promises';
import type { PayloadCodec } from '@temporalio/common';
import type { History } from '@temporalio/common/lib/proto-utils';
import {
  DefaultLogger,
  Runtime,
  Worker,
  type ReplayResult,
  type ReplayWorkerOptions,
} from '@temporalio/worker';
import { CodecKeyError, dataConverter } from './codec';
import type { RunHistory } from './histories';

export interface Replayed {
  workflowId: string;
  runId: string;
  /** Length of the history. */
  events: number;
  /** null if the code follows the history. */
  failure: ReplayFailure | null;
}

export interface ReplayFailure {
  /** `stuck`: the SDK waits for ever, as it does for a malformed history. */
  kind: 'nondeterminism' | 'error' | 'stuck';
  message: string;
  /** The SDK's own text, which names the command of the code; null if `message` has it all. */
  detail: string | null;
  /** The first event that the code does not follow; null if unknown. */
  event: { id: number; type: string } | null;
}

export type WorkflowBundle = NonNullable<ReplayWorkerOptions['workflowBundle']>;

/** The longest history takes seconds. */
const STUCK_MS = 60_000;

/** Silences the SDK's own report of replay failures, which we report ourselves. Once per process. */
export function silenceSdk(): void {
  const logger = new DefaultLogger('ERROR', () => undefined);
  Runtime.install({ logger, telemetryOptions: { logging: { filter: 'OFF' } } });
}

/**
 * Replays the histories one after the other in one worker.
 * @param stuckMs limit for each history. A stuck worker cannot be stopped: exit the process then
 * @throws CodecKeyError if a history is encrypted with a key that is not set
 */
export async function* replay(
  workflowBundle: WorkflowBundle,
  histories: AsyncIterable<RunHistory> | Iterable<RunHistory>,
  stuckMs = STUCK_MS,
): AsyncGenerator<Replayed> {
  let replayer = new Replayer(workflowBundle, stuckMs);
  try {
    for await (const { workflowId, runId, history } of histories) {
      const failure = await replayer.replay(history);
      if (failure?.kind === 'nondeterminism') failure.event = await findEvent(replayer, history);
      if (failure?.kind === 'stuck') replayer = new Replayer(workflowBundle, stuckMs);
      yield { workflowId, runId, events: history.events?.length ?? 0, failure };
    }
  } finally {
    await replayer.end();
  }
}

class Replayer {
  readonly #input = new PassThrough({ objectMode: true });
  readonly #results: AsyncIterator<ReplayResult>;
  /** The SDK hides this error in a general failure. */
  #unreadable: CodecKeyError | null = null;

  constructor(
    workflowBundle: WorkflowBundle,
    private readonly stuckMs: number,
  ) {
    const { payloadCodecs = [], ...converter } = dataConverter();
    const noting = payloadCodecs.map((codec) => this.#noting(codec));
    const options = { workflowBundle, dataConverter: { ...converter, payloadCodecs: noting } };
    this.#results = Worker.runReplayHistories(options, this.#input);
  }

  #noting(codec: PayloadCodec): PayloadCodec {
    return {
      encode: (payloads) => codec.encode(payloads),
      decode: (payloads) =>
        codec.decode(payloads).catch((error: unknown) => {
          if (error instanceof CodecKeyError) this.#unreadable = error;
          throw error;
        }),
    };
  }

  async replay(history: History): Promise<ReplayFailure | null> {
    const gap = findGap(history);
    if (gap !== null) return { kind: 'error', message: gap, detail: null, event: null };
    this.#input.write({ workflowId: 'replayed', history });
    const timer = new AbortController();
    const stuck = setTimeout(this.stuckMs, null, { signal: timer.signal }).catch(() => null);
    const result = await Promise.race([this.#results.next(), stuck]);
    timer.abort();
    if (this.#unreadable !== null) throw this.#unreadable;
    if (result === null) {
      const message = `the replay did not end within ${this.stuckMs / 1000} s: the history is malformed`;
      return { kind: 'stuck', message, detail: null, event: null };
    }
    const error = result.done === true ? undefined : result.value.error;
    return error === undefined ? null : describe(error);
  }

  async end(): Promise<void> {
    this.#input.end();
    await this.#results.next();
  }
}

/** The SDK waits for ever for missing events. */
function findGap({ events }: History): string | null {
  if (!events?.[0]?.workflowExecutionStartedEventAttributes || events.length < 2) {
    return 'the history does not begin with the start of a workflow and its first task';
  }
  const index = events.findIndex(({ eventId }, nth) => Number(eventId) !== nth + 1);
  if (index < 0) return null;
  return `expected event ${index + 1}, found event ${String(events[index]?.eventId)}: the history is incomplete`;
}

function describe(error: Error): ReplayFailure {
  if (error.name !== 'DeterminismViolationError')
    return { kind: 'error', message: error.message, detail: null, event: null };
  const message = 'the workflow code does not follow its history';
  return { kind: 'nondeterminism', message, detail: error.message, event: null };
}

/** Bisects: the last event of the shortest failing prefix of the history. */
async function findEvent(replayer: Replayer, history: History): Promise<ReplayFailure['event']> {
  const events = history.events ?? [];
  // The first two events never fail; the whole history has failed.
  let [good, bad] = [2, events.length];
  while (bad - good > 1) {
    const middle = Math.floor((good + bad) / 2);
    const failure = await replayer.replay({ events: events.slice(0, middle) });
    if (failure === null) good = middle;
    else bad = middle;
  }
  const culprit = events[bad - 1];
  const attributes = Object.entries(culprit ?? {}).find(
    ([key, value]) => key.endsWith('EventAttributes') && value !== null,
  );
  const name = attributes?.[0].slice(0, -'EventAttributes'.length) ?? 'event';
  return { id: bad, type: name.charAt(0).toUpperCase() + name.slice(1) };
}
