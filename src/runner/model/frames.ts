/** Frames on the socket, as protocol.ts describes them: reading with limits, writing with back-pressure. */
import type { Socket } from 'node:net';
import { candidateMessage, MAX_HEADER_BYTES, type CandidateMessage, type RunnerMessage } from './protocol';

const PREFIX_BYTES = 12;

/** The candidate broke the protocol. The message goes to the candidate and into the record. */
export class ProtocolError extends Error {
  override name = 'ProtocolError';
}

/** The connection ended in the middle of a frame. The process's exit explains it. */
export class CutOffError extends ProtocolError {
  override name = 'CutOffError';
}

export interface Frame {
  message: CandidateMessage;
  payloadBytes: number;
}

/** Reads frames in order. Read each payload before the next frame. */
export class FrameReader {
  private readonly chunks: AsyncIterator<Buffer>;
  private pending: Buffer = Buffer.alloc(0);

  constructor(source: AsyncIterable<Buffer>) {
    this.chunks = source[Symbol.asyncIterator]();
  }

  /**
   * The next frame's message; null if the peer closed the connection between two frames.
   * @throws ProtocolError for anything that is not a frame of this protocol
   */
  async next(): Promise<Frame | null> {
    if (this.pending.length === 0 && !(await this.more())) return null;
    const prefix = await this.exactly(PREFIX_BYTES);
    const headerBytes = prefix.readUInt32LE(0);
    if (headerBytes === 0 || headerBytes > MAX_HEADER_BYTES) {
      throw new ProtocolError(`a frame's header has ${headerBytes} bytes, expected 1 to ${MAX_HEADER_BYTES}`);
    }
    const payloadBytes = Number(prefix.readBigUInt64LE(4));
    const message = parse(await this.exactly(headerBytes));
    if (payloadBytes > 0 && message.type !== 'start' && message.type !== 'submit') {
      throw new ProtocolError(
        `"${message.type}" came with a payload of ${payloadBytes} bytes, expected none`,
      );
    }
    return { message, payloadBytes };
  }

  /** A payload's bytes, in pieces as they arrive. */
  async *payload(bytes: number): AsyncGenerator<Buffer> {
    let left = bytes;
    while (left > 0) {
      if (this.pending.length === 0 && !(await this.more())) {
        throw new CutOffError('the connection ended in the middle of a frame');
      }
      const piece = this.pending.subarray(0, left);
      this.pending = this.pending.subarray(piece.length);
      left -= piece.length;
      yield piece;
    }
  }

  private async exactly(bytes: number): Promise<Buffer> {
    const pieces: Buffer[] = [];
    for await (const piece of this.payload(bytes)) pieces.push(piece);
    return Buffer.concat(pieces);
  }

  private async more(): Promise<boolean> {
    do {
      const { done, value } = await this.chunks.next();
      if (done === true) return false;
      this.pending = value;
    } while (this.pending.length === 0);
    return true;
  }
}

function parse(header: Buffer): CandidateMessage {
  let value: unknown;
  try {
    value = JSON.parse(header.toString('utf8'));
  } catch {
    throw new ProtocolError('a frame whose header is not JSON');
  }
  const parsed = candidateMessage.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw new ProtocolError(`invalid message: ${issue?.path.join('.') || '(top)'}: ${issue?.message}`);
}

/** Writes frames whole, one after the other, and never faster than the peer reads. */
export class FrameWriter {
  private last: Promise<void> = Promise.resolve();

  constructor(private readonly socket: Socket) {}

  /**
   * Resolves when the kernel has taken the frame. Each piece of the payload may be reused once the next one is requested.
   * A disconnected peer is no error here: the process's exit explains it.
   */
  send(message: RunnerMessage, payloadBytes = 0, payload: Iterable<Buffer> = []): Promise<void> {
    const done = this.last.then(() => this.write(message, payloadBytes, payload));
    this.last = done.catch(() => undefined);
    return done;
  }

  private async write(
    message: RunnerMessage,
    payloadBytes: number,
    payload: Iterable<Buffer>,
  ): Promise<void> {
    // A disconnected peer may have requested gigabytes: do not read them from the disk.
    if (!this.socket.writable) return;
    const header = Buffer.from(JSON.stringify(message));
    const prefix = Buffer.alloc(PREFIX_BYTES);
    prefix.writeUInt32LE(header.length, 0);
    prefix.writeBigUInt64LE(BigInt(payloadBytes), 4);
    await this.push(Buffer.concat([prefix, header]));
    for (const piece of payload) {
      if (!this.socket.writable) return;
      await this.push(piece);
    }
  }

  /** Resolves when the kernel has taken the bytes, or the peer is gone. */
  private async push(bytes: Buffer): Promise<void> {
    await new Promise<void>((resolve) => this.socket.write(bytes, () => resolve()));
  }
}
