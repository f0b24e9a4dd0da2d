/** What `resume` learns of a workflow that was ended without being stopped, from a real server. */
import { Client } from '@temporalio/client';
import { carriedOver } from '../../src/studies/carry-over';
import { requestsInHistory } from '../../src/studies/requests-in-history';
import { dataConverter } from '../../src/temporal/codec';
import { describeWorkflow } from '../../src/studies/study-workflow';
import { findStudy } from '../../src/studies/find-study';
import { labId } from '../../src/process/paths';
import { openLedger } from '../../src/ledger/ledger';
import { controlQueue } from '../../src/temporal/queues';
import type { Connected } from '../../src/temporal/connection';
import { makeLab, makeStudy } from '../labs/make-lab';
import { openStage, until, World, type Stage } from '../workflows/world';
import * as messages from '../../src/workflows/messages';
import { withCallersCache } from '../cli/invoke';

const world = new World();
let stage: Stage;

beforeAll(async () => {
  stage = await withCallersCache(() => openStage(() => world));
});
afterAll(() => stage?.stop(), 60_000);

/** A lab with a study, and what `resume` would begin it with. */
async function studyOf(tag: string) {
  const { root, git, base } = makeLab();
  const config = { ...makeStudy(root, base, tag), workflowId: `study-${tag}-${labId(root)}` };
  await openLedger(git, config);
  const { client } = stage.environment;
  const asked = async () => {
    const said: string[] = [];
    const found = await findStudy({ tag, lab: root });
    const last = await describeWorkflow(client, config.workflowId);
    const answer = await carriedOver({ client } as Connected, found, last, (line) => void said.push(line));
    return { ...answer, said };
  };
  return { config, asked };
}

const start = async (workflowId: string, tag: string) => {
  const { handle } = await stage.start({ tag, workflowId, limits: { experiments: 1 } });
  const status = () => handle.query(messages.statusQuery);
  await until(status, ({ phase }) => phase === 'paused');
  await handle.signal('hint', 'wider');
  await handle.signal('adjustBudget', { hours: 3, experiments: 1 });
  await until(status, ({ limits, waiting }) => limits.hours === 3 && waiting.hints.length === 1);
  return handle;
};

test('of a terminated one: limits and what waited, and that is said', async () => {
  const { config, asked } = await studyOf('killed');
  const handle = await start(config.workflowId, 'killed');
  await handle.terminate();
  expect(await asked()).toEqual({
    limits: { experiments: 1, gpuHours: null, hours: 3, dollars: null },
    waiting: { hints: ['wider'], ideas: [], droppedIdeas: [] },
    said: [
      'taken over from its last workflow, which was terminated: its limits; 1 hint (tpe reads none) for the next experiment',
    ],
  });
  // Asked once more, for `resume` itself was killed: the same.
  expect((await asked()).waiting.hints).toEqual(['wider']);
});

test('of a stopped one: nothing, for that has saved what there was', async () => {
  const { config, asked } = await studyOf('stopped');
  const handle = await start(config.workflowId, 'stopped');
  await handle.signal('stop');
  await handle.result();
  expect(await asked()).toEqual({ limits: config.limits, waiting: config.waiting, said: [] });
});

test('of one that cannot answer, or that there is not: what the ledger has, and that is said', async () => {
  const { config, asked } = await studyOf('silent');
  const none = await asked();
  expect(none).toMatchObject({ limits: config.limits, waiting: config.waiting });
  expect(none.said).toEqual([expect.stringContaining('the server knows no earlier workflow of it')]);
  const { workflowId } = config;
  // As a version that nobody has any more.
  const { workflow } = stage.environment.client;
  const handle = await workflow.start('notAStudy', { taskQueue: controlQueue(), workflowId });
  await handle.terminate();
  const silent = await asked();
  expect(silent).toMatchObject({ limits: config.limits, waiting: config.waiting });
  expect(silent.said).toEqual([expect.stringContaining('was terminated and does not answer')]);
});

test.each(['json/plain', 'binary/encrypted', 'binary/unheard-of'])(
  'a message in %s that nobody can read takes nothing from what is found in the history',
  async (encoding) => {
    const tag = encoding.replace('/', '-');
    const { config } = await studyOf(tag);
    const handle = await start(config.workflowId, tag);
    const { connection, options } = stage.environment.client;
    // As the commands decode it, without a key.
    const client = new Client({ connection, namespace: options.namespace, dataConverter: dataConverter([]) });
    await client.workflowService.signalWorkflowExecution({
      namespace: options.namespace,
      workflowExecution: { workflowId: config.workflowId },
      signalName: 'hint',
      input: { payloads: [{ metadata: { encoding: Buffer.from(encoding) }, data: Buffer.from('no {') }] },
    });
    await handle.signal('hint', 'deeper');
    await handle.terminate();
    const { runId } = await handle.describe();
    expect(await requestsInHistory(client, config.workflowId, runId)).toMatchObject({
      limits: { experiments: 1, hours: 3 },
      waiting: { hints: ['wider', 'deeper'] },
    });
  },
);
