/** Whatever is sent to a study, by whatever tool: it answers, refuses or overlooks it, and goes on. */
import { defaultPayloadConverter, type Payload } from '@temporalio/common';
import * as fc from 'fast-check';
import type { StudyStatus } from '../../src/domain/status';
import * as messages from '../../src/workflows/messages';
import { openStage, until, World, type RunningStudy, type Stage } from './world';

let stage: Stage;
let study: RunningStudy;
const world = new World();

beforeAll(async () => {
  stage = await openStage(() => world);
  study = await stage.start({ limits: { experiments: 1 } });
  await until(
    () => study.handle.query(messages.statusQuery),
    (now) => now.phase === 'paused',
  );
});
afterAll(() => stage.stop(), 300_000);

const NAMES = ['stop', 'pause', 'resume', 'adjustBudget', 'hint', 'idea', 'unheard of'];
/** Nothing here may end the study or let it run on: what those do is tested elsewhere. */
const harmless = fc.constantFrom(...NAMES.filter((name) => !['stop', 'pause', 'resume'].includes(name)));

const send = (signalName: string, payloads: Payload[]) =>
  stage.environment.client.workflowService.signalWorkflowExecution({
    namespace: stage.environment.namespace ?? 'default',
    workflowExecution: { workflowId: study.config.workflowId },
    signalName,
    input: { payloads },
  });

/** What the study says to a request that is right. */
const wellness = async () => {
  const limits = { experiments: 1, gpuHours: 5, hours: null, dollars: 20 };
  const answer = await study.handle.executeUpdate(messages.adjustBudgetUpdate, { args: [limits] });
  const { phase, current } = await study.handle.query(messages.statusQuery);
  return { phase, current, isTaken: JSON.stringify(answer.limits) === JSON.stringify(limits) };
};
const WELL = { phase: 'paused', current: null, isTaken: true };

test('signals of any JSON, any number of arguments', async () => {
  await fc.assert(
    fc.asyncProperty(harmless, fc.array(fc.jsonValue(), { maxLength: 3 }), async (name, values) => {
      await send(
        name,
        values.map((value) => defaultPayloadConverter.toPayload(value)),
      );
    }),
    { numRuns: 150 },
  );
  expect(await wellness()).toEqual(WELL);
});

test('updates of any JSON are answered or refused', async () => {
  await fc.assert(
    fc.asyncProperty(harmless, fc.array(fc.jsonValue(), { maxLength: 2 }), async (name, args) => {
      const answer = await study.handle
        .executeUpdate<StudyStatus, []>(name, { args: args as [] })
        .catch((error: unknown) => error as Error);
      const outcome = answer instanceof Error ? answer.name : answer.phase;
      expect(['WorkflowUpdateFailedError', 'paused']).toContain(outcome);
    }),
    { numRuns: 60 },
  );
  expect(await wellness()).toEqual(WELL);
});

test('stop refuses what it does not understand', async () => {
  const refused = fc.jsonValue().filter((value) => value !== null && JSON.stringify(value) !== '{}');
  await fc.assert(
    fc.asyncProperty(refused, async (value) => {
      if (typeof value === 'object' && value !== null && 'now' in value && Object.keys(value).length === 1)
        return;
      await send('stop', [defaultPayloadConverter.toPayload(value)]);
    }),
    { numRuns: 40 },
  );
  expect(await wellness()).toEqual(WELL);
});

const text = (value: string): Uint8Array => new Uint8Array(Buffer.from(value));
const raw: Payload[] = [
  { metadata: { encoding: text('json/plain') }, data: text('{"experiments": ') },
  { metadata: { encoding: text('json/plain') }, data: text('') },
  { metadata: { encoding: text('json/plain') }, data: new Uint8Array([0xff, 0xfe, 0x00]) },
  { metadata: { encoding: text('binary/plain') }, data: new Uint8Array([1, 2, 3]) },
  { metadata: { encoding: text('of another world') }, data: text('x') },
  { metadata: {}, data: text('x') },
];

test.each(raw.map((payload, nth) => [nth, payload] as const))(
  'a signal that is not JSON at all: %i',
  async (_nth, payload) => {
    for (const name of NAMES.filter((each) => each !== 'stop' && each !== 'resume'))
      await send(name, [payload]);
    expect(await wellness()).toEqual(WELL);
  },
);
