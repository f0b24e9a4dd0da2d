/** Histories of every released version, through today's workflows: a running study must survive an upgrade. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { historyFromJSON, type History } from '@temporalio/common/lib/proto-utils';
import { bundleWorkflowCode, DefaultLogger, Runtime } from '@temporalio/worker';
import type { RunHistory } from '../../src/temporal/histories';
import { replay, type Replayed, type WorkflowBundle } from '../../src/temporal/replay';
import { HISTORIES } from './scenarios';

let workflows: WorkflowBundle;

beforeAll(async () => {
  const logger = new DefaultLogger('ERROR', () => undefined);
  Runtime.install({ logger, telemetryOptions: { logging: { filter: 'OFF' } } });
  workflows = await bundleWorkflowCode({ workflowsPath: require.resolve('../../src/workflows'), logger });
}, 60_000);

const versions = readdirSync(HISTORIES);

function recorded(version: string): (RunHistory & { json: string })[] {
  const files = readdirSync(join(HISTORIES, version), { recursive: true, encoding: 'utf8' });
  return files
    .filter((file) => file.endsWith('.json.gz'))
    .map((file) => {
      const json = gunzipSync(readFileSync(join(HISTORIES, version, file))).toString();
      return { workflowId: file, runId: version, history: historyFromJSON(JSON.parse(json)), json };
    });
}

async function all(histories: RunHistory[], stuckMs?: number): Promise<Replayed[]> {
  const replayed: Replayed[] = [];
  for await (const one of replay(workflows, histories, stuckMs)) replayed.push(one);
  return replayed;
}

test.each(versions)(
  'what %s did, today’s workflows would do',
  async (version) => {
    const histories = recorded(version);
    const replayed = await all(histories);
    expect(replayed.filter(({ failure }) => failure !== null)).toEqual([]);
    expect(replayed).toHaveLength(histories.length);
    expect(histories.length).toBeGreaterThan(10);
  },
  60_000,
);

test.each(versions)('the recordings of %s say nothing of the machine that made them', (version) => {
  for (const { json } of recorded(version)) {
    expect(json).not.toMatch(/node_modules|\/root|\/home\/|\/work\//);
  }
});

const experiment = () =>
  recorded('v0.5.0').find(({ workflowId }) => workflowId === join('verdicts', 'exp-0001-run-1.json.gz'))!;
const withEvents = (change: (events: NonNullable<History['events']>) => void): RunHistory => {
  const { workflowId, runId, history } = experiment();
  change(history.events ?? []);
  return { workflowId, runId, history };
};
const scheduled = (events: NonNullable<History['events']>, name: string) =>
  events.find((event) => event.activityTaskScheduledEventAttributes?.activityType?.name === name)!;

describe('a history that was tampered with is caught', () => {
  test('another activity, with the event', async () => {
    const tampered = withEvents((events) => {
      scheduled(events, 'train').activityTaskScheduledEventAttributes!.activityType!.name = 'pretend';
    });
    const id = Number(scheduled(tampered.history.events!, 'pretend').eventId);
    expect(await all([tampered, experiment()])).toMatchObject([
      { failure: { kind: 'nondeterminism', event: { id, type: 'ActivityTaskScheduled' } } },
      { failure: null },
    ]);
  });

  test('an end that the code would not have come to', async () => {
    const tampered = withEvents((events) => {
      const last = events.at(-1)!;
      delete last.workflowExecutionCompletedEventAttributes;
      last.eventType = 3;
      last.workflowExecutionFailedEventAttributes = { failure: { message: 'no' } };
    });
    const id = tampered.history.events?.length;
    expect(await all([tampered])).toMatchObject([
      { failure: { kind: 'nondeterminism', event: { id, type: 'WorkflowExecutionFailed' } } },
    ]);
  });

  test('a workflow that there is not, and events that are missing', async () => {
    const [unknown, cut, empty] = [
      withEvents((events) => {
        events[0]!.workflowExecutionStartedEventAttributes!.workflowType!.name = 'gone';
      }),
      withEvents((events) => void events.splice(9, 3)),
      withEvents((events) => void events.splice(0)),
    ];
    expect(await all([unknown, cut, empty, experiment()])).toMatchObject([
      { failure: { kind: 'error', message: expect.stringContaining("'gone'") } },
      {
        failure: {
          kind: 'error',
          message: 'expected event 10, found event 13: the history is incomplete',
        },
      },
      { failure: { kind: 'error' } },
      { failure: null },
    ]);
  });
});
