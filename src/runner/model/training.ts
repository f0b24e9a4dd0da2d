/** One training, from the candidate's launch until its last process has exited: phases, caps and result. */
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
/** After the receipt, for the summary that candidates print. */
const LAST_WORDS_MS = 5_000;
/**
 * For the exit of a candidate that closed the connection without a submission: atexit handlers, threads, a driver that frees
 * memory. Also for reading what it sent before its exit.
 */
const EXIT_SECONDS = 20;
/** Of a message's 200 characters: the cap that was reached must fit in, too. */
const MAX_EXCEPTION_CHARACTERS = 100;
/** A run during which the runner was stopped for a larger share of the budget is not comparable. */
const MAX_STOPPED_SHARE = 0.02;
/** Where the socket is inside the sandbox. */
const SOCKET_PLACE = '/run/autoresearch';
const SOCKET_FILE = 'socket';

/** How a task ended: with a result, by the candidate's fault, or on request. */
export type Ending =
  | { kind: 'accepted' }
  | { kind: 'failed'; reason: RunFailure['reason']; message: string }
  | { kind: 'stopped' };

/** What a task works with: status, log and the signal to stop. */
export interface TaskContext {
  folder: string;
  status: StatusFile;
  log: BoundedLog;
  stop: AbortSignal;
  /** The descriptor of the device's lock, where the runner holds it. */
  device: number | null;
}

type SessionFor = (socket: Socket, listener: Listener) => Session;

/** Trains. All processes have exited when this resolves; after a submission, the supervisor may still wait for hanging ones. */
export async function train(spec: TrainSpec, context: TaskContext): Promise<Ending> {
  const manifest = await readJson(join(spec.data, 'manifest.json'), manifestSchema);
  if (manifest === null)
    throw new Error(
      `no prepared data in ${spec.data}: its manifest.json is missing; resume the study to prepare it again`,
    );
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
      `cannot make a folder for the run's socket (${String(error)}): set XDG_RUNTIME_DIR to a short folder that this user owns`,
      { cause: error },
    );
  }
  server.listen(path);
  await once(server, 'listening');
}

class Training implements Listener {
  private readonly clock = new Clock();
  /** The GPU's work before `start`, which no budget counts. */
  private gpu: GpuBusy | null = null;
  private phase: 'starting' | 'training' | 'submitting' | 'closed' = 'starting';
  /** Seconds on `clock`: start and end of the budget (null: steps), last reported step, deadline of the submission. */
  private start = 0;
  private budgetEnd: number | null = null;
  private lastStepAt = 0;
  private submissionEnd = 0;
  /** How the connection was closed, and how long to wait for the exit. */
  private closed: { how: string; end: number } | null = null;
  /** Position in the output when the candidate last made progress. */
  private mark = 0;
  /** Of the seconds for which the runner was stopped, those before the budget began. */
  private stoppedBefore = 0;
  private lastStep = 0;
  private timer: NodeJS.Timeout | null = null;
  private stopping = false;
  private session: Session | null = null;
  private conversation: Promise<void> = Promise.resolve();
  private settle: (ending: Ending) => void = () => undefined;
  private abandon: (error: unknown) => void = () => undefined;
  /** The first ending counts. Rejects on a host error. */
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
        // Compiling would take longer than the rest of the smoke test.
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
    this.noteProgress();
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
    if (step > this.lastStep) this.noteProgress();
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

  /** Waits for the exit, or for a traceback before a hang: they explain more than a closed connection. */
  private onClosed(how: string): void {
    this.context.status.update(this.trained());
    this.phase = 'closed';
    this.closed = { how, end: this.clock.now() + EXIT_SECONDS };
    this.tick();
  }

  private async onExit(exit: ContainedExit): Promise<void> {
    // Its last messages may still be in the socket.
    await within(EXIT_SECONDS * 1000, this.conversation);
    const { reason, message } = exitFailure(exit, this.context.log.tail());
    const isClosed = this.closed !== null && exit.code === 0;
    this.fail(reason, isClosed ? `${this.closed?.how}, and exited with code 0` : message);
  }

  private noteProgress(): void {
    this.lastStepAt = this.clock.now();
    this.mark = this.context.log.mark();
  }

  /** Fails a candidate that reached a cap. A traceback since its last progress is the cause of the hang. */
  private failAtCap(message: string): void {
    const raised = raisedAndHung(this.context.log.tail(this.mark));
    if (raised === null) return this.fail('timeout', message);
    this.fail('error', `${raised.slice(0, MAX_EXCEPTION_CHARACTERS)} (then it hung: ${message})`);
  }

  private async onStop(candidate: Contained): Promise<void> {
    this.stopping = true;
    if (this.session !== null) {
      void this.session.end('stop');
      await within(PLEASE_END_MS, candidate.exited);
    }
    this.settle({ kind: 'stopped' });
  }

  /** Checks the caps, and schedules the next check. */
  private tick(): void {
    if (this.timer !== null) clearTimeout(this.timer);
    const now = this.clock.now();
    const next = this.check(now);
    this.timer = setTimeout(() => this.tick(), Math.min(TICK_MS, Math.max(1, (next - now) * 1000)));
  }

  /** Applies overdue caps. @returns the next deadline, in seconds on the clock */
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
        this.failAtCap(`start-up cap: the GPU was busy for ${most.toFixed(0)} s before the start`);
      return spec.startupSeconds;
    }
    if (this.phase === 'submitting') {
      if (now >= this.submissionEnd)
        this.failAtCap(
          `submission cap: nothing submitted ${spec.submissionSeconds} s after the end of the budget`,
        );
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

  /** After a request to stop, neither a late submission nor the candidate's exit is a result. */
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
