/** A candidate that says anything in any order, over a real socket: the session serves it or refuses it, and is never confused. */
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import type { Manifest } from '../../../src/labs/model/data';
import { Feed } from '../../../src/runner/model/feed';
import { ProtocolError } from '../../../src/runner/model/frames';
import { clearSubmission } from '../../../src/runner/model/submission';
import { MAX_BATCHES_AHEAD, PROTOCOL_VERSION } from '../../../src/runner/model/protocol';
import { Session } from '../../../src/runner/model/session';
import type { TrainSpec } from '../../../src/runner/task';

const ROW = 9;
const ROWS = 50;
const STEPS = 20;

let folder: string;
let server: Server;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'session-'));
  writeFileSync(join(folder, 'train.bin'), new Uint16Array(ROWS * ROW));
  server = createServer().listen(join(folder, 's'));
  await once(server, 'listening');
});
afterAll(() => {
  server.close();
  rmSync(folder, { recursive: true });
});

const sha256 = '0'.repeat(64);
const manifest: Manifest = {
  version: 1,
  source: 'made',
  vocabulary: 100,
  bos: 0,
  row: ROW,
  train: { file: 'train.bin', rows: ROWS, sha256 },
  val: { file: 'val.bin', rows: 1, sha256, bytes: 1 },
  token_bytes: { file: 'token_bytes.bin', sha256 },
  tokenizer: { file: 'tokenizer.json', sha256 },
};

/** What the candidate sends: a message, what its payload is, how long it says that is. */
interface Sent {
  message: unknown;
  payload: number;
  declared: number;
}

interface Outcome {
  refusal: unknown;
  started: number;
  batches: number;
  accepted: number;
  submitted: string[];
}

/** One whole conversation; the candidate closes when it has said everything. */
async function converse(said: readonly Sent[]): Promise<Outcome> {
  const submission = join(folder, 'submission');
  await clearSubmission(submission);
  const feed = new Feed(folder, manifest, 1);
  const outcome: Outcome = { refusal: null, started: 0, batches: 0, accepted: 0, submitted: [] };
  const candidate: Socket = connect(join(folder, 's'));
  const [[runner]] = await Promise.all([
    once(server, 'connection') as Promise<[Socket]>,
    once(candidate, 'connect'),
  ]);
  candidate.on('error', () => undefined).resume();
  const spec = {
    submission,
    seed: 1,
    budget: { steps: STEPS },
    device: 'cpu',
    submissionSeconds: 1,
    weightsBytes: 100,
  };
  const session = new Session(runner, spec as TrainSpec, manifest, feed, {
    onStart: () => Promise.resolve(void (outcome.started += 1)),
    onBatch: () => void (outcome.batches += 1),
    onReport: () => undefined,
    onSubmit: () => Promise.resolve(),
    onAccepted: () => void (outcome.accepted += 1),
  });
  for (const sent of said) candidate.write(frame(sent));
  candidate.end();
  outcome.refusal = await session.run().then(
    () => null,
    (error: unknown) => error,
  );
  runner.destroy();
  candidate.destroy();
  feed.close();
  outcome.submitted = readdirSync(submission).toSorted();
  return outcome;
}

function frame({ message, payload, declared }: Sent): Buffer {
  const header = Buffer.from(JSON.stringify(message));
  const prefix = Buffer.alloc(12);
  prefix.writeUInt32LE(header.length, 0);
  prefix.writeBigUInt64LE(BigInt(declared), 4);
  return Buffer.concat([prefix, header, Buffer.alloc(payload)]);
}

const plain = (message: unknown): Sent => ({ message, payload: 0, declared: 0 });
const withPayload = (message: unknown, bytes: number, declared = bytes): Sent => ({
  message,
  payload: bytes,
  declared,
});

const hello = { type: 'hello', protocol: PROTOCOL_VERSION, framework: 'none' };
const start = { type: 'start', initialWeights: sha256, parameters: 1 };
const submit = { type: 'submit', steps: 1, dataWaitSeconds: 0, peakMemoryMb: 0 };
const batches = (count: number, rows = 2) => ({ type: 'batches', count, rows });
const report = (step: number) => ({ type: 'report', step, loss: 1, dataWaitSeconds: 0, peakMemoryMb: 0 });

const right: fc.Arbitrary<Sent> = fc.oneof(
  fc.constantFrom(plain(hello), withPayload(start, 10), withPayload(submit, 10)),
  fc.nat(MAX_BATCHES_AHEAD + 3).map((count) => plain(batches(count))),
  fc.nat(STEPS + 5).map((step) => plain(report(step))),
);
const wrong: fc.Arbitrary<Sent> = fc.oneof(
  fc.jsonValue().map(plain),
  fc
    .tuple(fc.constantFrom(hello, start, submit, batches(1), report(1)), fc.string(), fc.jsonValue())
    .map(([message, key, value]) => plain({ ...message, [key]: value })),
  fc
    .tuple(fc.constantFrom(start, submit, hello), fc.nat(200), fc.nat(200))
    .map(([message, bytes, declared]) => withPayload(message, bytes, declared)),
  fc.maxSafeNat().map((rows) => plain(batches(1, rows))),
);

const GOOD = [
  plain(hello),
  withPayload(start, 10),
  plain(batches(3)),
  plain(report(0)),
  withPayload(submit, 10),
];

test('a conversation as it should be', async () => {
  const outcome = await converse(GOOD);
  expect(outcome).toMatchObject({ refusal: null, started: 1, accepted: 1 });
  expect(outcome.submitted).toEqual(['graph.json', 'weights.safetensors']);
});

test('right and wrong messages in any order: served, or refused by the protocol, and nothing in between', async () => {
  const begun = fc.array(fc.oneof({ weight: 3, arbitrary: right }, { weight: 1, arbitrary: wrong }), {
    maxLength: 25,
  });
  await fc.assert(
    fc.asyncProperty(fc.nat(GOOD.length), begun, async (good, said) => {
      const outcome = await converse([...GOOD.slice(0, good), ...said]);
      const { refusal, started, batches: sent, accepted, submitted } = outcome;
      expect(refusal === null || refusal instanceof ProtocolError).toBe(true);
      expect(started).toBeLessThanOrEqual(1);
      expect(accepted).toBeLessThanOrEqual(started);
      expect(sent).toBeLessThanOrEqual(started * STEPS);
      // A submission is whole only where it was accepted; the runner looks at nothing else.
      expect(submitted.length).toBeGreaterThanOrEqual(started + accepted);
      expect(submitted.every((name) => ['graph.json', 'weights.safetensors'].includes(name))).toBe(true);
    }),
    { numRuns: 200 },
  );
});
