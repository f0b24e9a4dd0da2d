/** Two labs with a study of one tag, on one server: neither ever asks the other's workflow for anything. */
import { launchStudy } from '../../src/studies/launch';
import { beginStudy, checkStudy } from '../../src/cli/start';
import { rememberLab } from '../../src/studies/known-labs';
import { Git } from '../../src/ledger/git';
import { readStudy } from '../../src/ledger/ledger';
import { connect, type Connected } from '../../src/temporal/connection';
import { until, openStage, paused, World, type Stage } from '../workflows/world';
import { makeLab } from '../labs/make-lab';
import { asJson, autoresearch, labWith, withCallersCache } from './invoke';

jest.setTimeout(60_000);
const world = new World();
let stage: Stage;
let server: Connected;

beforeAll(async () => {
  stage = await withCallersCache(() => openStage(() => world));
  process.env['TEMPORAL_ADDRESS'] = stage.environment.address;
  process.env['TEMPORAL_NAMESPACE'] = 'default';
  server = await connect();
}, 60_000);
afterAll(async () => {
  await server?.connection.close();
  await stage?.stop();
}, 60_000);
afterEach(() => {
  process.exitCode = undefined;
});

async function start(tag: string) {
  const { root } = makeLab();
  const checked = await checkStudy({ lab: root, tag, researcher: 'command', command: 'true' });
  const ready = { ...server, devices: ['cpu'], has: { anthropicKey: false, variables: {}, codecKeys: [] } };
  const begun = await beginStudy(checked, ready);
  await rememberLab(root);
  return { root, ...begun };
}

const handleOf = (workflowId: string) => ({ handle: server.client.workflow.getHandle(workflowId) });

test('two that start at the same moment have a workflow each, and a ledger that names it', async () => {
  const both = await Promise.all([start('twins'), start('twins')]);
  const ids = both.map(({ config }) => config.workflowId);
  expect(ids.toSorted()).toEqual(['study-twins', expect.stringMatching(/^study-twins-[0-9a-f]{8}$/)]);
  for (const { git, config } of both) expect(await readStudy(git, 'twins')).toEqual(config);
  for (const { root, config } of both) {
    const { document } = await asJson('pause', 'twins', '--lab', root);
    expect(document).toMatchObject({ workflowId: config.workflowId, lab: root });
  }
  for (const { root, config } of both) {
    expect((await asJson('stop', 'twins', '--lab', root)).document.lab).toBe(root);
    await handleOf(config.workflowId).handle.result();
  }
});

test('where another study has the name, running or not, a new one takes another', async () => {
  const first = await start('taken');
  await autoresearch('stop', 'taken', '--lab', first.root);
  await handleOf('study-taken').handle.result();
  const second = await start('taken');
  expect(second.config.workflowId).toMatch(/^study-taken-[0-9a-f]{8}$/);
  await autoresearch('stop', 'taken', '--lab', second.root);
  await handleOf(second.config.workflowId).handle.result();
  // Started again, each is where it was.
  expect((await launchStudy(server, first)).config.workflowId).toBe('study-taken');
  expect((await launchStudy(server, second)).config.workflowId).toBe(second.config.workflowId);
  await expect(launchStudy(server, first)).rejects.toThrow('study taken runs already');
});

describe('a ledger that names a workflow which is another study’s by now', () => {
  let root: string;
  let config: Awaited<ReturnType<typeof start>>['config'];
  let asked: () => Promise<number>;

  beforeAll(async () => {
    ({ root } = await labWith({ foreign: [{ score: 2 }], quiet: [{ score: 2 }] }));
    const other = await stage.start({ tag: 'foreign', limits: { experiments: 1 } });
    await paused(other);
    ({ config } = other);
    asked = async () => (await other.handle.describe()).historyLength;
  });

  test.each([
    ['stop', '--now'],
    ['pause'],
    ['hint', 'wider'],
    ['budget', '--experiments', '9'],
    ['ideas', '--add', 'wider'],
  ])('%s: that one hears nothing', async (...command) => {
    const before = await asked();
    const [name = '', ...more] = command;
    const args = name === 'hint' ? [name, ...more, 'foreign'] : [name, 'foreign', ...more];
    const { exitCode, document } = await asJson(...args, '--lab', root);
    expect([exitCode, document.error.message]).toEqual([5, 'study foreign is not running']);
    expect(await asked()).toBe(before);
  });

  test('status, verify and the choice of the one that runs see that it does not', async () => {
    const { document } = await asJson('status', 'foreign', '--lab', root);
    expect(document).toMatchObject({ source: 'ledger', study: { phase: 'stopped', lab: root } });
    const { document: verified } = await asJson('verify', 'foreign', '--lab', root);
    expect(verified).toMatchObject({ workflows: 0 });
    const { document: chosen } = await asJson('stop', '--lab', root);
    expect(chosen.error.message).toContain('none of these studies runs');
  });

  test('resumed, it has a workflow of its own, which its ledger names', async () => {
    const { studies } = await labWith({ foreign: [{ score: 2 }] });
    const [study] = studies;
    const git = new Git(study!.lab);
    const launched = await launchStudy(server, { git, config: study! });
    expect(launched.config.workflowId).not.toBe(config.workflowId);
    expect(await readStudy(git, 'foreign')).toEqual(launched.config);
    await until(
      () => asJson('status', 'foreign', '--lab', study!.lab),
      ({ document }) => document.source === 'workflow',
    );
  });
});
