/** What the server says of a running activity, whatever that has put into its heartbeat. */
import { Client, Connection, type WorkflowExecutionDescription } from '@temporalio/client';
import { defaultPayloadConverter, type DataConverter, type Payload } from '@temporalio/common';
import * as fc from 'fast-check';
import { pendingActivity } from '../../src/studies/study-workflow';
import { dataConverter } from '../../src/temporal/codec';

/** A client that is never connected, for its loaded data converter. */
const client = (converter: DataConverter = {}) =>
  new Client({ connection: Connection.lazy(), dataConverter: converter });

const describing = (payloads: Payload[]) =>
  ({
    raw: {
      pendingActivities: [
        {
          activityType: { name: 'train' },
          attempt: 2,
          state: 2,
          nextAttemptScheduleTime: { seconds: 60, nanos: 0 },
          heartbeatDetails: { payloads },
        },
      ],
    },
  }) as unknown as WorkflowExecutionDescription;

const text = (value: string): Uint8Array => new Uint8Array(Buffer.from(value));

test('progress is read where it is progress', async () => {
  const progress = { phase: 'training', step: 3, loss: null, tokens: 12, secondsLeft: 4 };
  const described = describing([defaultPayloadConverter.toPayload(progress)]);
  expect(await pendingActivity(client(), described)).toEqual({
    name: 'train',
    isWaiting: false,
    attempt: 2,
    next: 60_000,
    lastFailure: null,
    progress,
  });
});

test('any JSON in a heartbeat is progress or nothing', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.jsonValue(), { maxLength: 2 }), async (values) => {
      const described = describing(values.map((value) => defaultPayloadConverter.toPayload(value)));
      expect(await pendingActivity(client(), described)).toMatchObject({ name: 'train', progress: null });
    }),
  );
});

test.each([
  ['half a JSON', 'json/plain', '{"phase":'],
  ['an unknown encoding', 'of another world', 'x'],
])(
  'a heartbeat that cannot be read (%s) is no progress, and no reason to fail',
  async (_what, encoding, data) => {
    const described = describing([{ metadata: { encoding: text(encoding) }, data: text(data) }]);
    expect(await pendingActivity(client(dataConverter([])), described)).toMatchObject({
      name: 'train',
      progress: null,
    });
  },
);
