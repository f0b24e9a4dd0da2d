import { EventEmitter, once } from 'node:events';
import * as messages from '../../src/workflows/messages';
import { openStage, until, World, type Stage } from './world';

let stage: Stage;
const world = new World();

beforeAll(async () => {
  stage = await openStage(() => world, {
    extraArgs: ['--dynamic-config-value', 'limit.historyCount.suggestContinueAsNew=40'],
  });
});
afterAll(() => stage.stop(), 300_000);

test('a long study continues as new, and nobody notices: state, budget and messages go on', async () => {
  const { handle, config } = await stage.start({ limits: { experiments: 30 } });
  const follow = stage.environment.client.workflow.getHandle(config.workflowId);
  const firstRun = handle.firstExecutionRunId;
  const hasContinued = async () => (await follow.describe()).runId !== firstRun;
  await until(hasContinued, Boolean);
  await follow.signal('hint', 'after the first run');
  await follow.executeUpdate(messages.adjustBudgetUpdate, { args: [{ experiments: 20 }] });
  const now = await until(
    () => follow.query(messages.statusQuery),
    (status) => status.phase === 'paused',
    60,
  );
  expect(now).toMatchObject({ spent: { experiments: 20 }, limits: { experiments: 20 }, kept: 20 });
  expect(world.records.map((record) => record.number)).toEqual(
    Array.from({ length: 20 }, (_, number) => number),
  );
  expect(world.proposed.filter((asked) => asked.waiting.hints.length > 0)).toHaveLength(1);
  // A pause survives a continue-as-new as well: nothing runs while it lasts.
  await follow.signal('stop');
  expect(await handle.result()).toMatchObject({ phase: 'stopped' });
});

test('cancelled in the UI just where it would continue as new, it ends, and keeps what waits', async () => {
  const gate = new EventEmitter();
  const ledger = new World();
  let isRecording = false;
  world.activities.record = async (input) => {
    isRecording = true;
    await once(gate, 'open');
    return ledger.activities.record(input);
  };
  const { handle } = await stage.start();
  await until(() => isRecording, Boolean);
  const hints = Array.from({ length: 12 }, (_, nth) => `hint ${nth}`);
  for (const text of hints) await handle.executeUpdate(messages.hintUpdate, { args: [text] });
  await handle.cancel();
  await until(
    async () => (await handle.describe()).historyLength,
    (events) => events > 60,
  );
  gate.emit('open');
  await expect(handle.result()).rejects.toThrow('cancelled');
  expect(world.saved.at(-1)?.waiting.hints).toEqual(hints);
});
