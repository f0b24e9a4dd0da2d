/** One training, from the candidate's launch to the last process gone: its phases, its caps, its end. */
import { createHash } from 'node:crypto';
import { mkdir, rm } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { dirname, join } from 'node:path';
import { once } from 'node:events';
import type { RunFailure } from '../task';
import { manifestSchema } from '../../labs/model/data';
import { errorCode } from '../../process/error-code';
import { readJson } from '../../process/json-file';
import { runtimeRoot } from '../../process/paths';
import { Clock, TICK_MS } from '../clock';
import { Contained, type ContainedExit } from '../contained';
import { exitFailure, raisedAndHung } from '../failure';
import { Feed } from './feed';
import { CutOffError, ProtocolError } from './frames';
import { clearSubmission } from './submission';
import { GpuBusy } from '../gpu-busy';
import type { BoundedLog } from '../log';
import { MAX_SOCKET_PATH_BYTES } from './protocol';
import { enclose } from '../sandbox';
import { Session, type Listener } from './session';
import { SyntheticFeed } from './synthetic-feed';
import type { StatusFile } from '../status-file';
import type { TrainSpec } from '../task';
import { Watch } from '../watch';

/** From "please end" to the kill. */
const PLEASE_END_MS = 2_000;
/** After the receipt, for its last words: the summary that the field prints. */
const LAST_WORDS_MS = 5_000;
/**
 * After it has closed the connection without a submission, for its exit: atexit handlers, threads, a driver that gives back
 * memory. And after its exit, for what it sent before.
 */
const EXIT_SECONDS = 20;
/** Of a message's 200: the cap that was reached has to fit in, too. */
const MAX_EXCEPTION_CHARACTERS = 100;
/** A run is no longer comparable when the runner was stopped for a larger part of its seconds. */
const MAX_STOPPED_SHARE = 0.02;
/** Where the socket is inside the sandbox. */
const SOCKET_PLACE = '/run/autoresearch';
const SOCKET_FILE = 'socket';

/** How a task ended: well, by the candidate's fault, or because somebody asked for it. */
export type Ending =
  | { kind: 'accepted' }
  | { kind: 'failed'; reason: RunFailure['reason']; message: string }
  | { kind: 'stopped' };

/** What a task works with: where it says how it is, where its output goes, who wants it to stop. */
export interface TaskContext {
  folder: string;
  status: StatusFile;
  log: BoundedLog;
  stop: AbortSignal;
  /** The descriptor of the device's lock, where the runner holds it. */
  device: number | null;
}

type SessionFor = (socket: Socket, listener: Listener) => Session;

/** Trains. Everything that it has started is gone when it resolves, or after a submission left to its keeper. */
export async function train(spec: TrainSpec, context: TaskContext): Promise<Ending> {
  const manifest = await readJson(join(spec.data, 'manifest.json'), manifestSchema);
  if (manifest === null) throw new Error(`no prepared data in ${spec.data}: its manifest.json is missing`);
  await clearSubmission(spec.submission);
  const feed =
    spec.smokeTest === true ? new SyntheticFeed(manifest) : new Feed(spec.data, manifest, spec.seed);
  const socketFolder = join(
    runtimeRoot(),
    createHash('sha256').update(context.folder).digest('hex').slice(0, 12),
  );
  const server = createServer();
  try {
    await listen(server, join(socketFolder, SOCKET_FILE));
    const sessionFor: SessionFor = (socket, listener) => new Session(socket, spec, manifest, feed, listener);
    return await new Training(spec, context, sessionFor).run(server, socketFolder);
  } finally {
    server.close();
    feed.close();
    await rm(socketFolder, { recursive: true, force: true });
  }
}

async function listen(server: Server, path: string): Promise<void> {
  if (Buffer.byteLength(path) > MAX_SOCKET_PATH_BYTES) {
    throw new Error(
      `the socket's path ${path} is longer than ${MAX_SOCKET_PATH_BYTES} bytes: set XDG_RUNTIME_DIR to a shorter folder`,
    );
  }
  try {
    await rm(dirname(path), { recursive: true, force: true });
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  } catch (error) {
    throw new Error(
      `no folder for the run's socket can be made (${String(error)}): let XDG_RUNTIME_DIR name a short folder that this user owns`,
      { cause: error },
    );
  }
  server.listen(path);
  await once(server, 'listening');
}

class Training implements Listener {
  private readonly clock = new Clock();
  /** What the GPU does before `start`, which no budget counts. */
  private gpu: GpuBusy | null = null;
  private phase: 'starting' | 'training' | 'submitting' | 'closed' = 'starting';
  /** Seconds on `clock`: when the budget began, when it ends (null: steps), when the last step was reported, when to submit. */
  private start = 0;
  private budgetEnd: number | null = null;
  private lastStepAt = 0;
  private submissionEnd = 0;
  /** How the connection was closed, and until when its exit is waited for. */
  private closed: { how: string; end: number } | null = null;
  /** Where its output was when it last went on. */
  private mark = 0;
  /** Of the seconds for which the runner was stopped, those before the budget began. */
  private stoppedBefore = 0;
  private lastStep = 0;
  private timer: NodeJS.Timeout | null = null;
  private stopping = false;
  private session: Session | null = null;
  private conversation: Promise<void> = Promise.resolve();
  private settle: (ending: Ending) => void = () => undefined;
  private abandon: (trouble: unknown) => void = () => undefined;
  /** The first ending counts. Rejects when the trouble is ours. */
  private readonly ended = new Promise<Ending>((resolve, reject) => {
    this.settle = resolve;
    this.abandon = reject;
  });

  constructor(
    private readonly spec: TrainSpec,
    private readonly context: TaskContext,
    private readonly sessionFor: SessionFor,
  ) {}

  async run(server: Server, socketFolder: string): Promise<Ending> {
    const { spec, context } = this;
    const { sandbox } = context.status.value;
    const enclosed = await enclose(sandbox, {
      ...spec,
      scratch: join(context.folder, 'scratch'),
      folders: [{ host: socketFolder, place: SOCKET_PLACE, writable: false }],
      env: {
        AUTORESEARCH_SOCKET: `${SOCKET_PLACE}/${SOCKET_FILE}`,
        // Compiling would take longer than all the rest.
        ...(spec.smokeTest === true ? { TORCHDYNAMO_DISABLE: '1' } : {}),
      },
    });
    const onOutput = (chunk: Buffer): void => context.log.append(chunk);
    const candidate = await Contained.start(sandbox, enclosed, onOutput, context.device);
    const watch = new Watch(candidate, (reason, message) => this.fail(reason, message));
    let isAccepted = false;
    try {
      this.gpu = new GpuBusy(spec.device);
      server.on('connection', (socket) => this.connect(socket));
      candidate.exited.then((exit) => this.onExit(exit)).catch(this.abandon);
      const stop = (): void => void this.onStop(candidate).catch(this.abandon);
      context.stop.addEventListener('abort', stop);
      if (context.stop.aborted) stop();
      this.tick();
      const ending = await this.ended;
      isAccepted = ending.kind === 'accepted';
      if (isAccepted) await within(LAST_WORDS_MS, candidate.exited);
      return ending;
    } finally {
      if (this.timer !== null) clearTimeout(this.timer);
      this.gpu?.end();
      watch.end();
      await candidate.kill(isAccepted);
    }
  }

  async onStart({
    initialWeights,
    parameters,
  }: {
    initialWeights: string | null;
    parameters: number;
  }): Promise<void> {
    const { budget } = this.spec;
    const startedAt = Date.now();
    const deadline = 'seconds' in budget ? startedAt + budget.seconds * 1000 : null;
    const startupSeconds = this.clock.now();
    const startupGpuSeconds = this.gpu?.seconds ?? null;
    this.gpu?.end();
    await this.context.status.enter('training', {
      startedAt,
      deadline,
      startupSeconds,
      startupGpuSeconds,
      initialWeights,
      parameters,
    });
    this.phase = 'training';
    this.goOn();
    this.start = this.lastStepAt;
    this.stoppedBefore = this.clock.stopped;
    this.budgetEnd = 'seconds' in budget ? this.start + budget.seconds : null;
    this.tick();
  }

  onBatch(step: number, tokens: number): void {
    this.context.status.update({ step, tokens, ...this.trained() });
  }

  onReport(report: {
    step: number;
    loss: number | string;
    dataWaitSeconds: number;
    peakMemoryMb: number;
  }): void {
    const { step, loss, dataWaitSeconds, peakMemoryMb } = report;
    if (typeof loss !== 'number') return this.fail('diverged', `the loss is ${loss} at step ${step}`);
    if (step > this.lastStep) this.goOn();
    this.lastStep = Math.max(step, this.lastStep);
    this.context.status.update({ lastLoss: loss, dataWaitSeconds, peakMemoryMb, ...this.trained() });
    const { budget } = this.spec;
    if ('steps' in budget && step >= budget.steps) this.endTraining();
  }

  async onSubmit({
    dataWaitSeconds,
    peakMemoryMb,
  }: {
    dataWaitSeconds: number;
    peakMemoryMb: number;
  }): Promise<void> {
    this.context.status.update({ dataWaitSeconds, peakMemoryMb });
    this.endTraining();
  }

  onAccepted(weights: string): void {
    this.context.status.update({ weights });
    this.finish({ kind: 'accepted' });
  }

  /** One candidate, one connection. */
  private connect(socket: Socket): void {
    if (this.session !== null) {
      socket.destroy();
      return;
    }
    this.session = this.sessionFor(socket, this);
    this.conversation = this.session.run().then(
      () => this.onClosed('closed the connection without a submission'),
      (error: unknown) => {
        if (error instanceof CutOffError || isConnectionLost(error)) return this.onClosed(error.message);
        if (error instanceof ProtocolError) return this.fail('rejected', error.message);
        this.abandon(error);
      },
    );
  }

  /** Its exit, or the traceback before a hanging one, says more than the closed connection: no other cap counts any more. */
  private onClosed(how: string): void {
    this.context.status.update(this.trained());
    this.phase = 'closed';
    this.closed = { how, end: this.clock.now() + EXIT_SECONDS };
    this.tick();
  }

  private async onExit(exit: ContainedExit): Promise<void> {
    // What it has sent may still be in the socket.
    await within(EXIT_SECONDS * 1000, this.conversation);
    const { reason, message } = exitFailure(exit, this.context.log.tail());
    const isClosed = this.closed !== null && exit.code === 0;
    this.fail(reason, isClosed ? `${this.closed?.how}, and exited with code 0` : message);
  }

  private goOn(): void {
    this.lastStepAt = this.clock.now();
    this.mark = this.context.log.mark();
  }

  /** A cap is reached. A traceback since it last went on is the cause, and the hanging process only its effect. */
  private failAtCap(message: string): void {
    const raised = raisedAndHung(this.context.log.tail(this.mark));
    if (raised === null) return this.fail('timeout', message);
    this.fail('error', `${raised.slice(0, MAX_EXCEPTION_CHARACTERS)} (and then it hung: ${message})`);
  }

  private async onStop(candidate: Contained): Promise<void> {
    this.stopping = true;
    if (this.session !== null) {
      void this.session.end('stop');
      await within(PLEASE_END_MS, candidate.exited);
    }
    this.settle({ kind: 'stopped' });
  }

  /** Looks at the clock, and again when it matters next. */
  private tick(): void {
    if (this.timer !== null) clearTimeout(this.timer);
    const now = this.clock.now();
    const next = this.check(now);
    this.timer = setTimeout(() => this.tick(), Math.min(TICK_MS, Math.max(1, (next - now) * 1000)));
  }

  /** Ends what is overdue; returns when something is due next, in seconds on the clock. */
  private check(now: number): number {
    const { spec } = this;
    if (this.closed !== null) {
      const { how, end } = this.closed;
      if (now >= end) this.failAtCap(`${how}, and did not exit within ${EXIT_SECONDS} s`);
      return end;
    }
    if (this.phase === 'starting') {
      if (now >= spec.startupSeconds)
        this.failAtCap(`start-up cap: no start after ${spec.startupSeconds.toFixed(0)} s`);
      const most = spec.startupGpuSeconds;
      if (most !== null && (this.gpu?.seconds ?? 0) >= most)
        this.failAtCap(`start-up cap: the GPU was at work for ${most.toFixed(0)} s before the start`);
      return spec.startupSeconds;
    }
    if (this.phase === 'submitting') {
      if (now >= this.submissionEnd)
        this.failAtCap(`submission cap: not submitted ${spec.submissionSeconds} s after the end`);
      return this.submissionEnd;
    }
    const stopped = this.clock.stopped - this.stoppedBefore;
    if ('seconds' in spec.budget && stopped > spec.budget.seconds * MAX_STOPPED_SHARE) {
      this.fail('lost', `the runner was stopped for ${stopped.toFixed(0)} s: the run is not comparable`);
    }
    if (this.budgetEnd !== null && now >= this.budgetEnd) {
      this.endTraining();
      return this.submissionEnd;
    }
    const stall = this.lastStepAt + spec.stallSeconds;
    if (now >= stall) this.failAtCap(`stall cap: no step reported for ${spec.stallSeconds} s`);
    const end = this.start + spec.trainSeconds;
    if ('steps' in spec.budget && now >= end)
      this.fail(
        'timeout',
        `train cap: ${this.lastStep} of ${spec.budget.steps} steps in ${spec.trainSeconds} s (caps.train_seconds)`,
      );
    return Math.min(stall, this.budgetEnd ?? end);
  }

  private endTraining(): void {
    if (this.phase !== 'training') return;
    const now = this.clock.now();
    this.context.status.update(this.trained());
    this.phase = 'submitting';
    this.submissionEnd = now + this.spec.submissionSeconds;
    void this.session?.end('budget');
    this.context.status.enter('submitting').catch(this.abandon);
    this.tick();
  }

  private trained(): { trainSeconds?: number } {
    return this.phase === 'training' ? { trainSeconds: this.clock.now() - this.start } : {};
  }

  /** Once it shall stop, neither a late submission nor the candidate's exit is a result. */
  private finish(ending: Ending): void {
    if (!this.stopping) this.settle(ending);
  }

  private fail(reason: RunFailure['reason'], message: string): void {
    this.finish({ kind: 'failed', reason, message });
  }
}

function isConnectionLost(error: unknown): error is Error {
  return (
    error instanceof Error &&
    ['ECONNRESET', 'EPIPE', 'ERR_STREAM_PREMATURE_CLOSE', 'ERR_STREAM_DESTROYED'].includes(
      errorCode(error) ?? '',
    )
  );
}

/** Waits for a promise, but no longer than `ms`. */
async function within(ms: number, promise: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  await Promise.race([promise, new Promise((late) => (timer = setTimeout(late, ms)))]);
  clearTimeout(timer);
}
