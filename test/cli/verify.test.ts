/** verify, export and replay against a real server that ran the study, and without one. */
import { execFile, execFileSync } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { labId } from '../../src/process/paths';
import { rememberLab } from '../../src/studies/known-labs';
import { appendRecord } from '../../src/ledger/ledger';
import { branchRef, ledgerRef } from '../../src/ledger/refs';
import * as messages from '../../src/workflows/messages';
import { asJson, autoresearch, withCallersCache } from './invoke';
import { git, makeRecord, temporary } from '../labs/make-lab';
import { studied, type Studied } from '../ledger/verify/studied';
import { openStage, until, World, type RunningStudy, type Stage } from '../workflows/world';

const TAG = 'seen';
const world = new World();
let stage: Stage;
let lab: Studied;
let study: RunningStudy;

beforeAll(async () => {
  const fewEvents = ['--dynamic-config-value', 'limit.historyCount.suggestContinueAsNew=25'];
  stage = await withCallersCache(() => openStage(() => world, { extraArgs: fewEvents }));
  lab = await studied(['keep', 'keep', 'crash', 'keep', 'keep', 'keep'], TAG);
  await rememberLab(lab.root);
  // The same study in Temporal: as many experiments, with the same candidates, scores and crash.
  world.scoreOf = (number) => 2 - number / 1000;
  world.failureOf = (number) => (number === 2 ? { reason: 'oom', message: 'out of memory', tail: '' } : null);
  world.activities.apply = ({ number }) =>
    Promise.resolve({ commit: lab.commits[number] ?? '', failure: null });
  // The lab is a copy, so its study has a workflow of its own.
  const workflowId = `study-${TAG}-${labId(lab.root)}`;
  study = await stage.start({ tag: TAG, workflowId, ...whose(lab), limits: { experiments: 6 } });
  const { client } = stage.environment;
  await until(
    () => client.workflow.getHandle(study.config.workflowId).query(messages.statusQuery),
    ({ phase }) => phase === 'paused',
  );
});
afterAll(() => stage?.stop(), 60_000);
beforeEach(() => {
  process.env['TEMPORAL_ADDRESS'] = stage.environment.address;
  process.env['TEMPORAL_NAMESPACE'] = 'default';
});
afterEach(() => {
  delete process.env['TEMPORAL_ADDRESS'];
  process.exitCode = undefined;
});

/** By which a workflow is known as this lab's. */
const whose = ({ root, study: { createdAt } }: Studied) => ({ labId: labId(root), createdAt });

/**
 * `replay` in a process of its own, for the SDK's runtime, which it sets up, is one a process. It replays through the
 * workflows that were last built.
 */
// oxlint-disable-next-line typescript/no-explicit-any -- each test says what it expects of it
function replay(...args: string[]): Promise<{ exitCode: number; document: any }> {
  const child = join(__dirname, '..', 'ledger', 'child.js');
  const program = require.resolve('../../src/cli/program');
  const call = [child, program, 'run', JSON.stringify([['replay', ...args, '--json']])];
  return new Promise((done) => {
    execFile(process.execPath, call, { timeout: 60_000, env: process.env }, (error, stdout) =>
      done({ exitCode: typeof error?.code === 'number' ? error.code : 0, document: JSON.parse(stdout) }),
    );
  });
}

test('a study that ran agrees with its workflows, also while it is open', async () => {
  const { exitCode, document } = await asJson('verify', TAG);
  expect(document).toEqual({
    tag: TAG,
    agrees: true,
    experiments: 6,
    workflows: 6,
    differences: [],
    notes: [],
    repaired: null,
  });
  expect(exitCode).toBe(0);
});

test('without a server the rest is verified, and that is said', async () => {
  delete process.env['TEMPORAL_ADDRESS'];
  const { exitCode, stdout } = await autoresearch('verify', TAG);
  expect(exitCode).toBe(0);
  expect(stdout).toBe('seen: 6 experiments, no server to compare workflows with: everything agrees\n');
});

test('what differs is reported with what to do, and repaired on request; a study that is paused holds still', async () => {
  git(lab.root, 'update-ref', branchRef(TAG), lab.commits[1]!);
  const before = await autoresearch('verify', TAG);
  expect(before.exitCode).toBe(6);
  expect(before.stdout).toMatch(
    /^branch: autoresearch\/seen is at experiment 1 \(keep\), \w+; the last kept commit is #5, \w+ → `npx autoresearch verify seen --repair` mends it$/m,
  );
  process.exitCode = undefined;
  const { exitCode, document } = await asJson('verify', TAG, '--repair');
  expect(document).toMatchObject({
    agrees: true,
    repaired: { done: [expect.stringMatching(/^moved/)], left: [] },
  });
  expect(exitCode).toBe(0);
  expect(git(lab.root, 'rev-parse', branchRef(TAG))).toBe(lab.commits[5]);
});

test('while the study works nothing is repaired', async () => {
  world.trainingOf = () => new Promise(() => undefined);
  const { client } = stage.environment;
  const handle = client.workflow.getHandle(study.config.workflowId);
  await handle.signal('adjustBudget', { experiments: 7 });
  await until(() => world.trained.includes(6), Boolean);
  git(lab.root, 'update-ref', '-d', branchRef(TAG));
  const { exitCode, document } = await asJson('verify', TAG, '--repair');
  expect(exitCode).toBe(6);
  expect(document.error).toMatchObject({
    code: 'conflict',
    message: expect.stringContaining('nothing was repaired'),
  });
  await handle.signal('stop', { now: true });
  await until(
    () => handle.describe(),
    ({ status }) => status.name === 'COMPLETED',
  );
  expect((await asJson('verify', TAG, '--repair')).document).toMatchObject({ agrees: true });
});

test('a ledger that says otherwise than the workflows is caught', async () => {
  const ledger = `refs/heads/autoresearch-ledger/${TAG}`;
  const [whole, branch] = [git(lab.root, 'rev-parse', ledger), git(lab.root, 'rev-parse', branchRef(TAG))];
  git(lab.root, 'update-ref', ledger, `${ledger}~1`);
  git(lab.root, 'update-ref', '-d', `refs/autoresearch/${TAG}/exp/0005`);
  git(lab.root, 'update-ref', branchRef(TAG), lab.commits[4]!);
  const { document } = await asJson('verify', TAG);
  expect(document.differences).toEqual([
    expect.objectContaining({
      about: 'workflow',
      experiment: 5,
      what: expect.stringMatching(/exp-0005 \(run .*\) ended with keep, and has no record/),
    }),
  ]);
  git(lab.root, 'update-ref', ledger, whole);
  git(lab.root, 'update-ref', branchRef(TAG), branch);
  git(lab.root, 'update-ref', `refs/autoresearch/${TAG}/exp/0005`, lab.commits[5]!);
});

describe('an archive', () => {
  const file = (): string => join(archives, 'seen.tar.gz');
  let archives: string;
  let ids: string[];

  beforeAll(async () => {
    archives = temporary('archives');
    process.env['TEMPORAL_ADDRESS'] = stage.environment.address;
    const { document } = await asJson('export', TAG, file());
    ids = document.histories.map((one: { workflowId: string }) => one.workflowId);
  });

  test('has the whole chain that continue-as-new made, and every experiment, also one that was cut off', () => {
    expect(ids.filter((id) => id === study.config.workflowId).length).toBeGreaterThanOrEqual(3);
    expect(new Set(ids).size).toBe(1 + 7);
  });

  test('is read with standard tools, and nothing is written over', async () => {
    const folder = temporary('unpacked');
    execFileSync('tar', ['-xzf', file(), '-C', folder]);
    expect(readdirSync(folder).toSorted()).toEqual(['export.json', 'histories', 'ledger', 'study.bundle']);
    expect(readdirSync(join(folder, 'ledger', 'experiments'))).toHaveLength(6);
    expect(readdirSync(join(folder, 'histories'))).toHaveLength(8);
    const clone = join(folder, 'lab');
    git(folder, 'clone', '--quiet', '--branch', `autoresearch/${TAG}`, 'study.bundle', clone);
    git(clone, 'switch', '--quiet', '--detach');
    const fetched = await autoresearch('fetch', join(folder, 'study.bundle'), TAG, '--lab', clone);
    expect(fetched).toMatchObject({ exitCode: 0, stderr: '' });
    expect((await asJson('verify', TAG, '--lab', clone)).document).toMatchObject({
      agrees: true,
      experiments: 6,
    });
    const again = await asJson('export', TAG, file(), '--lab', lab.root);
    expect(again.document.error).toMatchObject({ code: 'conflict' });
  });

  test('is replayed without a server, as the study is with one', async () => {
    const fromServer = await replay(TAG, '--lab', lab.root);
    expect(fromServer).toMatchObject({ exitCode: 0, document: { agrees: true } });
    delete process.env['TEMPORAL_ADDRESS'];
    const { exitCode, document } = await replay(file());
    expect(exitCode).toBe(0);
    expect(document).toEqual(fromServer.document);
    expect(document.histories.length).toBeGreaterThanOrEqual(10);
  });

  test('of version 0.2, and tampered with, is caught, with workflow, run and event', async () => {
    const folder = temporary('tampered');
    execFileSync('tar', ['-xzf', file(), '-C', folder]);
    const { ledger, ...manifest } = JSON.parse(readFileSync(join(folder, 'export.json'), 'utf8'));
    expect(ledger).toEqual({ experiments: 6, withoutHistory: 0 });
    writeFileSync(join(folder, 'export.json'), JSON.stringify(manifest));
    const [run = ''] = readdirSync(join(folder, 'histories', 'exp-0003'));
    const path = join(folder, 'histories', 'exp-0003', run);
    writeFileSync(path, readFileSync(path, 'utf8').replaceAll('"name": "train"', '"name": "pretend"'));
    const tampered = join(archives, 'tampered.tar.gz');
    execFileSync('tar', ['-czf', tampered, '-C', folder, 'export.json', 'histories']);
    const { exitCode, document } = await replay(tampered);
    expect(document).toMatchObject({ agrees: false, ledger: null });
    expect(exitCode).toBe(6);
    const failed = document.histories.filter((one: { failure: unknown }) => one.failure !== null);
    expect(failed).toEqual([
      {
        workflowId: `${study.config.workflowId}/exp-0003`,
        runId: run.replace('.json', ''),
        events: expect.any(Number),
        failure: {
          kind: 'nondeterminism',
          message: 'the workflow code does not follow its history',
          detail: expect.stringContaining(
            "'pretend' does not match activity type of activity command 'train'",
          ),
          event: { id: 17, type: 'ActivityTaskScheduled' },
        },
      },
    ]);
  });

  test('that is something else is refused', async () => {
    const path = join(archives, 'other.tar.gz');
    writeFileSync(path, 'not an archive');
    expect((await replay(path)).document.error).toMatchObject({ code: 'lab' });
    writeFileSync(path, readFileSync(file()).subarray(0, 2000));
    expect((await replay(path)).document.error).toMatchObject({ code: 'lab' });
    expect((await replay(join(archives, 'none.tar.gz'))).document.error).toMatchObject({ code: 'not-found' });
  });
});

test('experiments of which the server has nothing are reported by export, its archive and replay', async () => {
  const ref = ledgerRef(TAG);
  const whole = git(lab.root, 'rev-parse', ref);
  // Nobody ran these on this server, which looks as if it had kept them no longer: to have it forget takes it half a minute.
  for (const number of [7, 8]) await appendRecord(lab.git, lab.study, makeRecord(lab.study, number));
  const file = join(temporary('partial'), 'partial.tar.gz');
  const { exitCode, stdout } = await autoresearch('export', TAG, file, '--lab', lab.root);
  expect(exitCode).toBe(0);
  expect(stdout).toContain('\n2 of the ledger’s 8 experiments have no history any more');
  const ledger = { experiments: 8, withoutHistory: 2 };
  expect((await replay(file)).document).toMatchObject({ agrees: true, ledger });
  expect((await replay(TAG, '--lab', lab.root)).document).toMatchObject({ agrees: true, ledger });
  git(lab.root, 'update-ref', ref, whole);
});

test('a branch that is behind, while its experiment is not done, is a note', async () => {
  const late = await studied(['keep', 'keep', 'crash', 'keep', 'keep', 'keep', 'keep'], 'late');
  await rememberLab(late.root);
  git(late.root, 'update-ref', branchRef('late'), late.commits[5]!);
  const record = world.activities.record.bind(world.activities);
  // A worker that died between the record and the branch: its activity has not ended.
  const gate = new EventEmitter();
  world.activities.record = async (input) => {
    if (input.study.tag === 'late') await once(gate, 'open');
    return record(input);
  };
  const workflowId = `study-late-${labId(late.root)}`;
  const { handle } = await stage.start({ tag: 'late', workflowId, ...whose(late) });
  const { client } = stage.environment;
  const isOpen = async () =>
    (await client.workflow.count(`WorkflowId = '${workflowId}/exp-0006' AND ExecutionStatus = 'Running'`))
      .count === 1;
  await until(isOpen, Boolean);
  const { document } = await asJson('verify', 'late');
  await handle.terminate();
  world.activities.record = record;
  gate.emit('open');
  expect(document.notes).toEqual([
    expect.stringMatching(/the last kept commit is #6.*experiment 6 is not done with it yet/),
  ]);
  // The workflow's earlier experiments are the other lab's.
  expect(document.differences.map(({ about }: { about: string }) => about)).not.toContain('branch');
});

test('an open study that no worker serves, on a remote server, can be repaired', async () => {
  const left = await studied(['keep', 'keep'], 'left');
  await rememberLab(left.root);
  git(left.root, 'update-ref', branchRef('left'), left.commits[0]!);
  const config = {
    ...study.config,
    tag: 'left',
    ...whose(left),
    workflowId: `study-left-${labId(left.root)}`,
  };
  const handle = await stage.environment.client.workflow.start('study', {
    taskQueue: 'nobody-polls',
    workflowId: config.workflowId,
    args: [config],
  });
  const { exitCode, document } = await asJson('verify', 'left', '--repair', '--lab', left.root);
  await handle.terminate();
  expect(document).toMatchObject({ agrees: true, differences: [] });
  expect(exitCode).toBe(0);
  expect(git(left.root, 'rev-parse', branchRef('left'))).toBe(left.commits[1]);
});

describe('a study whose ledger cannot be read', () => {
  beforeEach(() => {
    delete process.env['TEMPORAL_ADDRESS'];
  });

  test.each([
    [
      'is gone',
      (root: string) => void git(root, 'branch', '-D', 'autoresearch-ledger/broken'),
      /autoresearch-ledger\/broken is gone/,
    ],
    [
      'has a damaged study.json',
      (root: string) => damage(root, 'study.json', '{"format": 1'),
      /study\.json is damaged/,
    ],
    [
      'has a damaged record',
      (root: string) => damage(root, 'experiments/0001.json', 'x'),
      /0001\.json is not a good record/,
    ],
  ])('one that %s is reported by verify, and hides no other', async (_what, spoil, said) => {
    const { root } = await studied(['keep', 'discard'], 'broken');
    spoil(root);
    const { exitCode, document } = await asJson('verify', 'broken', '--lab', root);
    expect(exitCode).toBe(6);
    expect(document.differences.map(({ what }: { what: string }) => what).join()).toMatch(said);
  });

  test('a damaged study.json is reported by the others, with what to do', async () => {
    const { root } = await studied(['keep'], 'broken');
    damage(root, 'study.json', '[]');
    const { exitCode, document } = await asJson('history', 'broken', '--lab', root);
    expect([exitCode, document.error.code, document.error.message]).toEqual([
      3,
      'lab',
      expect.stringContaining('git log -p'),
    ]);
  });
});

/** Puts something else into a file of the ledger, as a commit on top. */
function damage(root: string, path: string, content: string): void {
  const folder = temporary();
  git(root, 'worktree', 'add', '--quiet', join(folder, 'ledger'), 'autoresearch-ledger/broken');
  writeFileSync(join(folder, 'ledger', path), content);
  git(join(folder, 'ledger'), 'commit', '--quiet', '--all', '--message', 'Damage');
  git(root, 'worktree', 'remove', '--force', join(folder, 'ledger'));
}
