/** The conversation with one candidate: which message it may send when, and the answers. training.ts owns clock and caps. */
import { finished } from 'node:stream/promises';
import type { Socket } from 'node:net';
import type { Manifest } from '../../labs/model/data';
import type { Rows } from './feed';
import { CutOffError, FrameReader, FrameWriter, ProtocolError, type Frame } from './frames';
import { GRAPH_FILE, saveSubmission, WEIGHTS_FILE } from './submission';
import {
  MAX_BATCHES_AHEAD,
  MAX_GRAPH_BYTES,
  PROTOCOL_VERSION,
  type CandidateMessage,
  type RunnerMessage,
} from './protocol';
import { deviceInside } from '../sandbox';
import type { TrainSpec } from '../task';

/** More than any batch of a step: 128 M token ids. */
const MAX_BATCH_BYTES = 256 << 20;

type Said<Type extends CandidateMessage['type']> = Extract<CandidateMessage, { type: Type }>;

/** Events of the session. The conversation waits for each returned promise. */
export interface Listener {
  /** The graph is on the disk; the clock starts when this resolves. */
  onStart(message: Said<'start'>): Promise<void>;
  /** A batch is about to be sent. `steps` and `tokens` include it. */
  onBatch(steps: number, tokens: number): void;
  onReport(message: Said<'report'>): void;
  /** The weights are about to come. */
  onSubmit(message: Said<'submit'>): Promise<void>;
  /** The weights are on the disk and the candidate has its receipt. */
  onAccepted(weights: string): void;
}

type State = 'greeting' | 'starting' | 'training' | 'ended' | 'submitted';

export class Session {
  private readonly reader: FrameReader;
  private readonly writer: FrameWriter;
  private state: State = 'greeting';
  /** Rows of each batch that was requested and not yet sent. */
  private readonly asked: number[] = [];
  private pumping = false;
  private steps = 0;
  private tokens = 0;
  private fail: (error: unknown) => void = () => undefined;
  /** Rejects when the data cannot be read. */
  private readonly failed = new Promise<never>((_resolve, reject) => {
    this.fail = reject;
  });

  constructor(
    private readonly socket: Socket,
    private readonly spec: TrainSpec,
    private readonly manifest: Manifest,
    private readonly feed: Rows,
    private readonly listener: Listener,
  ) {
    this.reader = new FrameReader(socket);
    this.writer = new FrameWriter(socket);
    this.failed.catch(() => undefined);
    // Reads and writes report the socket's errors.
    socket.on('error', () => undefined);
  }

  /**
   * Converses until the candidate has submitted or closed the connection.
   * @throws ProtocolError if the candidate breaks the protocol (after a `refused` message), CutOffError if it disconnects in mid-frame
   */
  async run(): Promise<void> {
    try {
      await Promise.race([this.converse(), this.failed]);
    } catch (error) {
      if (error instanceof ProtocolError && !(error instanceof CutOffError))
        await this.refuse('protocol', error.message);
      throw error;
    }
  }

  private async converse(): Promise<void> {
    for (let frame = await this.reader.next(); frame !== null; frame = await this.reader.next()) {
      await this.hear(frame);
      if (this.state === 'submitted') return;
    }
  }

  /** Sends no more batches: the budget is used up, or the run must stop. */
  async end(reason: 'budget' | 'stop'): Promise<void> {
    if (this.state === 'ended' || this.state === 'submitted') return;
    if (this.state === 'training') this.state = 'ended';
    this.asked.length = 0;
    await this.writer.send({ type: 'end', reason });
  }

  /** Sends the reason, and closes the connection. */
  async refuse(reason: string, message: string): Promise<void> {
    // A candidate that does not read is killed without the reason.
    await Promise.race([
      this.writer.send({ type: 'refused', reason, message }),
      new Promise((late) => setTimeout(late, 500)),
    ]);
    this.socket.end();
    await Promise.race([
      finished(this.socket, { readable: false }),
      new Promise((late) => setTimeout(late, 500)),
    ]).catch(() => undefined);
  }

  private async hear({ message, payloadBytes }: Frame): Promise<void> {
    switch (message.type) {
      case 'hello':
        return this.greet(message);
      case 'start':
        return this.start(message, payloadBytes);
      case 'batches':
        return this.ask(message);
      case 'report':
        this.mustBe(message.type, 'training', 'ended');
        if (message.step > this.steps) {
          throw new ProtocolError(
            `"report" of step ${message.step}, but only ${this.steps} batches were sent`,
          );
        }
        return this.listener.onReport(message);
      case 'submit':
        return this.submit(message, payloadBytes);
    }
  }

  private async greet(hello: Said<'hello'>): Promise<void> {
    this.mustBe('hello', 'greeting');
    if (hello.protocol !== PROTOCOL_VERSION) {
      throw new ProtocolError(
        `the candidate speaks protocol ${hello.protocol}, this runner ${PROTOCOL_VERSION}: take lab.py and wire.py from the same autoresearch version`,
      );
    }
    this.state = 'starting';
    const welcome: RunnerMessage = {
      type: 'welcome',
      protocol: PROTOCOL_VERSION,
      seed: this.spec.seed,
      vocabulary: this.manifest.vocabulary,
      bos: this.manifest.bos,
      row: this.manifest.row,
      budget: this.spec.budget,
      device: deviceInside(this.spec.device),
      handinSeconds: this.spec.submissionSeconds,
      maxWeightsBytes: this.spec.weightsBytes,
    };
    await this.writer.send(welcome);
  }

  private async start(message: Said<'start'>, graphBytes: number): Promise<void> {
    this.mustBe('start', 'starting');
    this.mustFit('graph', graphBytes, MAX_GRAPH_BYTES);
    await saveSubmission(this.spec.submission, GRAPH_FILE, this.reader.payload(graphBytes));
    this.state = 'training';
    await this.listener.onStart(message);
    await this.writer.send({ type: 'started' });
  }

  private ask({ count, rows }: Said<'batches'>): void {
    this.mustBe('batches', 'training', 'ended');
    // The request and `end` have crossed on the wire.
    if (this.state === 'ended') return;
    this.mustFit('batch', this.feed.bytes(rows), MAX_BATCH_BYTES);
    if (this.asked.length + count > MAX_BATCHES_AHEAD) {
      throw new ProtocolError(
        `${this.asked.length + count} batches requested ahead, at most ${MAX_BATCHES_AHEAD} are allowed`,
      );
    }
    for (let i = 0; i < count; i++) this.asked.push(rows);
    if (!this.pumping) this.pump().catch(this.fail);
  }

  /** Sends the requested batches as fast as the candidate reads. */
  private async pump(): Promise<void> {
    this.pumping = true;
    for (let rows = this.asked[0]; rows !== undefined; rows = this.asked[0]) {
      this.steps += 1;
      this.tokens += rows * (this.manifest.row - 1);
      this.listener.onBatch(this.steps, this.tokens);
      await this.writer.send(
        { type: 'batch', step: this.steps, rows },
        this.feed.bytes(rows),
        this.feed.next(rows),
      );
      this.asked.shift();
      const { budget } = this.spec;
      if ('steps' in budget && this.steps >= budget.steps) await this.end('budget');
    }
    this.pumping = false;
  }

  private async submit(message: Said<'submit'>, weightsBytes: number): Promise<void> {
    this.mustBe('submit', 'training', 'ended');
    this.mustFit('submission', weightsBytes, this.spec.weightsBytes);
    this.state = 'ended';
    this.asked.length = 0;
    await this.listener.onSubmit(message);
    const weights = await saveSubmission(
      this.spec.submission,
      WEIGHTS_FILE,
      this.reader.payload(weightsBytes),
    );
    this.state = 'submitted';
    await this.writer.send({ type: 'accepted' });
    this.listener.onAccepted(weights);
  }

  private mustBe(said: string, ...states: State[]): void {
    if (!states.includes(this.state))
      throw new ProtocolError(`"${said}" is not allowed now: the run is ${this.state}`);
  }

  private mustFit(what: string, bytes: number, limit: number): void {
    if (bytes === 0) throw new ProtocolError(`the ${what} is empty`);
    if (bytes > limit) throw new ProtocolError(`the ${what} has ${bytes} bytes, ${limit} are allowed`);
  }
}
