import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { array, assert, asyncProperty, nat, uint8Array } from 'fast-check';
import { CutOffError, FrameReader, FrameWriter, ProtocolError } from '../../../src/runner/model/frames';
import { MAX_HEADER_BYTES } from '../../../src/runner/model/protocol';

function frame(message: unknown, payload = Buffer.alloc(0), declared = payload.length): Buffer {
  const header = Buffer.from(typeof message === 'string' ? message : JSON.stringify(message));
  const prefix = Buffer.alloc(12);
  prefix.writeUInt32LE(header.length, 0);
  prefix.writeBigUInt64LE(BigInt(declared), 4);
  return Buffer.concat([prefix, header, payload]);
}

/** The same bytes, cut anywhere. */
async function* pieces(bytes: Buffer, cuts: number[]): AsyncGenerator<Buffer> {
  const at = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).toSorted((a, b) => a - b), bytes.length];
  for (let i = 1; i < at.length; i++) yield bytes.subarray(at[i - 1], at[i]);
}

async function drain(reader: FrameReader): Promise<void> {
  while ((await reader.next()) !== null);
}

const read = (bytes: Buffer, cuts: number[] = []) => new FrameReader(pieces(bytes, cuts));
const hello = { type: 'hello', protocol: 1, framework: 'none' };
const submit = { type: 'submit', steps: 1, dataWaitSeconds: 0, peakMemoryMb: 0 };

describe('frames', () => {
  it('arrive whole, however the bytes were cut', async () => {
    await assert(
      asyncProperty(
        array(nat(400), { maxLength: 20 }),
        uint8Array({ minLength: 1, maxLength: 200 }),
        async (cuts, payload) => {
          const reader = read(
            Buffer.concat([frame(hello), frame(submit, Buffer.from(payload)), frame(hello)]),
            cuts,
          );
          expect(await reader.next()).toEqual({ message: hello, payloadBytes: 0 });
          expect(await reader.next()).toEqual({ message: submit, payloadBytes: payload.length });
          const got: Buffer[] = [];
          for await (const piece of reader.payload(payload.length)) got.push(piece);
          expect(Buffer.concat(got)).toEqual(Buffer.from(payload));
          expect(await reader.next()).toEqual({ message: hello, payloadBytes: 0 });
          expect(await reader.next()).toBeNull();
        },
      ),
    );
  });

  it.each([
    [
      'a header that is too long',
      Buffer.concat([Buffer.from([0, 0, 0, 1]), Buffer.alloc(8)]),
      /header has 16777216 bytes/,
    ],
    ['no header', Buffer.alloc(12), /header has 0 bytes/],
    ['no JSON', frame('{"type":'), /not JSON/],
    ['an unknown type', frame({ type: 'score' }), /invalid message/],
    ['an unknown field', frame({ ...hello, seed: 1 }), /invalid message/],
    ['a wrong field', frame({ ...hello, protocol: '1' }), /protocol: /],
    ['a payload out of place', frame(hello, Buffer.from('x')), /"hello" came with a payload of 1 bytes/],
    ['an endless payload', frame(hello, Buffer.alloc(0), Number.MAX_SAFE_INTEGER), /came with a payload/],
  ])('refuse %s', async (_what, bytes, message) => {
    const refused = read(bytes).next();
    await expect(refused).rejects.toThrow(ProtocolError);
    await expect(refused).rejects.toThrow(message);
    await expect(refused).rejects.not.toBeInstanceOf(CutOffError);
  });

  it('are cut off, which is another matter', async () => {
    const whole = frame(hello);
    for (const length of [1, 11, 12, whole.length - 1]) {
      await expect(read(whole.subarray(0, length)).next()).rejects.toThrow(CutOffError);
    }
  });

  it('never throw anything else, and never take more memory than a header', async () => {
    await assert(
      asyncProperty(
        uint8Array({ maxLength: 300 }),
        array(nat(300), { maxLength: 5 }),
        async (bytes, cuts) => {
          const reader = read(Buffer.from(bytes), cuts);
          const failed = await drain(reader).catch((error: unknown) => error);
          expect(failed === undefined || failed instanceof ProtocolError).toBe(true);
        },
      ),
    );
    expect(MAX_HEADER_BYTES).toBeLessThanOrEqual(1 << 20);
  });
});

it('what a peer had asked for is not read any more when it has gone', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  const peer = connect(address.port, '127.0.0.1');
  const [socket] = await once(server, 'connection');
  socket.on('error', () => undefined);
  let taken = 0;
  const batch = function* () {
    for (; taken < 10_000; taken++) {
      if (taken === 10) socket.destroy();
      yield Buffer.alloc(1);
    }
  };
  const writer = new FrameWriter(socket);
  try {
    await writer.send({ type: 'batch', step: 1, rows: 1 }, 10_000, batch());
    await writer.send({ type: 'batch', step: 2, rows: 1 }, 10_000, batch());
    expect(taken).toBe(10);
  } finally {
    peer.destroy();
    server.close();
  }
});
