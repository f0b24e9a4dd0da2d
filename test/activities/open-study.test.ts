import { MockActivityEnvironment } from '@temporalio/testing';
import { DefaultLogger } from '@temporalio/worker';
import { UNLIMITED } from '../../src/domain/limits';
import { createOpenStudy, type OpenStudyDependencies } from '../../src/activities/open-study';
import type { OpenedStudy } from '../../src/activities/interface';
import { summarize } from '../../src/domain/experiment';
import { rebuild, type StudyConfig } from '../../src/domain/study';
import { storeCandidate } from '../../src/ledger/commits';
import { appendRecord, openLedger, readStudy } from '../../src/ledger/ledger';
import { baseRef, branchRef, ledgerRef } from '../../src/ledger/refs';
import { git, makeLab, makeRecord, makeStudy, temporary, write } from '../labs/make-lab';

/** Failures are what these tests ask for. */
const newEnvironment = () => new MockActivityEnvironment({}, { logger: new DefaultLogger('ERROR') });

const callersState = process.env['XDG_STATE_HOME'];
beforeAll(() => (process.env['XDG_STATE_HOME'] = temporary('state')));
afterAll(() => {
  if (callersState === undefined) delete process.env['XDG_STATE_HOME'];
  else process.env['XDG_STATE_HOME'] = callersState;
});

let prepared = 0;
const dependencies: OpenStudyDependencies = {
  lane: async () => ({ queue: 'cpu-host', device: 'cpu' }),
  machine: async () => ({ device: 'cpu', torch: '2.15' }),
  prepareData: async () => {
    prepared++;
    return { folder: '/data', hash: 'data' };
  },
};

const openStudy = (study: StudyConfig, change: Partial<OpenStudyDependencies> = {}): Promise<OpenedStudy> =>
  newEnvironment().run(createOpenStudy({ ...dependencies, ...change }), study);

function newStudy() {
  const lab = makeLab();
  return { ...lab, study: makeStudy(lab.root, lab.base) };
}

const refs = (root: string): string => git(root, 'for-each-ref', '--format=%(refname) %(objectname)');

/** A recorded experiment with a commit of its own on `incumbent`. */
async function addRecord(
  { git: repository, study, root, base }: ReturnType<typeof newStudy>,
  number: number,
  incumbent: string,
) {
  const tree = git(root, 'rev-parse', `${base}^{tree}`);
  const common = { tag: study.tag, number, tree, hypothesis: '', rejected: null, at: study.createdAt };
  const commit = await storeCandidate(repository, { ...common, incumbent, title: `change ${number}` });
  const record = makeRecord(study, number, { commit, incumbent });
  await appendRecord(repository, study, record);
  return record;
}

test('a fresh study gets base, ledger and branch, and an empty state', async () => {
  const { root, base, study } = newStudy();
  const opened = await openStudy(study);
  expect(
    refs(root)
      .split('\n')
      .map((line) => line.split(' ')[0]),
  ).toEqual([
    'refs/autoresearch/nov21/base',
    'refs/heads/autoresearch-ledger/nov21',
    'refs/heads/autoresearch/nov21',
    'refs/heads/main',
  ]);
  expect(git(root, 'rev-parse', baseRef('nov21'), branchRef('nov21')).split('\n')).toEqual([base, base]);
  expect(opened.state).toEqual(rebuild(study.limits, []));
  expect(opened.last).toBeNull();
  expect(opened.caps).toEqual({ startup: 300, submission: 30, score: 600 });
  expect(opened.class).toMatchObject({
    device: 'cpu',
    torch: '2.15',
    data: 'data',
    lab: expect.stringMatching(/^[0-9a-f]{64}$/),
  });
});

test('opened twice, at once too, it is opened once', async () => {
  const { root, study } = newStudy();
  const [first, second] = await Promise.all([openStudy(study), openStudy(study)]);
  const before = refs(root);
  expect(second).toEqual(first);
  expect(await openStudy(study)).toEqual(first);
  expect(refs(root)).toBe(before);
});

test.each([
  ['base', baseRef],
  ['ledger', ledgerRef],
  ['branch', branchRef],
])('cut off before the %s was made, it is made', async (_, refOf) => {
  const { root, study } = newStudy();
  const opened = await openStudy(study);
  const whole = refs(root);
  git(root, 'update-ref', '-d', refOf('nov21'));
  expect(await openStudy(study)).toEqual(opened);
  expect(refs(root)).toBe(whole);
});

test('the state is rebuilt from the ledger, and the branch follows a keep that was cut off', async () => {
  const place = newStudy();
  await openStudy(place.study);
  const baseline = await addRecord(place, 0, place.base);
  const kept = await addRecord(place, 1, baseline.commit);
  const { state } = await openStudy(place.study);
  expect(state).toEqual(rebuild(place.study.limits, [baseline, kept].map(summarize)));
  expect(git(place.root, 'rev-parse', branchRef('nov21'))).toBe(kept.commit);
});

test('limits that were changed since stay in the ledger', async () => {
  const { git: repository, study } = newStudy();
  const limits = { ...UNLIMITED, experiments: 5 };
  await openLedger(repository, { ...study, limits });
  await openStudy(study);
  expect((await readStudy(repository, 'nov21'))?.limits).toEqual(limits);
});

test('the lab’s hash is that of its locked files', async () => {
  const { root, study } = newStudy();
  const first = await openStudy(study);
  write(root, { 'train.py': 'other\n' });
  git(root, 'commit', '-qam', 'editable');
  const second = await openStudy(makeStudy(root, git(root, 'rev-parse', 'HEAD'), 'second'));
  expect(second.class.lab).toBe(first.class.lab);
  write(root, { 'score.py': 'other\n' });
  git(root, 'commit', '-qam', 'locked');
  const third = await openStudy(makeStudy(root, git(root, 'rev-parse', 'HEAD'), 'third'));
  expect(third.class.lab).not.toBe(first.class.lab);
});

test.each<[string, Partial<StudyConfig>, RegExp]>([
  [
    'another metric',
    { metric: 'accuracy' },
    /has metric "val_bpb" in its ledger, not "accuracy": use another tag/,
  ],
  ['another budget', { budget: { seconds: 300 } }, /has budget/],
  ['another direction', { direction: 'maximize' }, /has direction/],
])('a study of the same tag with %s is refused for good', async (_, change, message) => {
  const { study } = newStudy();
  await openStudy(study);
  const error = await openStudy({ ...study, ...change }).catch((caught: unknown) => caught);
  expect(error).toMatchObject({ type: 'StudyMismatch', nonRetryable: true });
  expect(String(error)).toMatch(message);
});

test('another base is refused for good', async () => {
  const { root, study } = newStudy();
  await openStudy(study);
  git(root, 'commit', '-q', '--allow-empty', '-m', 'x');
  await expect(openStudy({ ...study, base: git(root, 'rev-parse', 'HEAD') })).rejects.toMatchObject({
    type: 'StudyMismatch',
  });
});

test('a base that is not in the lab is refused before anything is made', async () => {
  const { root, study } = newStudy();
  await expect(openStudy({ ...study, base: 'd'.repeat(40) })).rejects.toMatchObject({
    type: 'LabError',
    nonRetryable: true,
  });
  expect(refs(root)).toMatch(/^refs\/heads\/main \w+$/);
});

test('an invalid lab.yaml is refused for good, with the reason', async () => {
  const { root } = makeLab({ 'lab.yaml': 'version: 1\n' });
  const study = makeStudy(root, git(root, 'rev-parse', 'HEAD'));
  await expect(openStudy(study)).rejects.toMatchObject({
    type: 'LabConfigError',
    message: expect.stringContaining('metric'),
  });
});

test('a hole in the ledger is told', async () => {
  const place = newStudy();
  await openStudy(place.study);
  await addRecord(place, 1, place.base);
  await expect(openStudy(place.study)).rejects.toMatchObject({
    type: 'LedgerError',
    message: expect.stringContaining('experiment 0'),
  });
});

const otherData = { prepareData: async () => ({ folder: '/data', hash: 'other' }) };

test('other data than the study was scored on is refused', async () => {
  const place = newStudy();
  await openStudy(place.study);
  await addRecord(place, 0, place.base);
  await expect(openStudy(place.study, otherData)).rejects.toMatchObject({
    type: 'StudyMismatch',
    message: expect.stringContaining('the data'),
  });
});

test('trouble that may pass is retried: the user has the branch checked out', async () => {
  const place = newStudy();
  await openStudy(place.study);
  git(place.root, 'checkout', '--quiet', 'autoresearch/nov21');
  await addRecord(place, 0, place.base);
  await expect(openStudy(place.study)).rejects.toMatchObject({ name: 'BranchCheckedOut' });
  git(place.root, 'checkout', '--quiet', 'main');
  const before = prepared;
  await expect(openStudy(place.study)).resolves.toBeDefined();
  expect(prepared).toBe(before + 1);
});

test('a branch named autoresearch is in the way, and the message says so', async () => {
  const { root, study } = newStudy();
  git(root, 'branch', 'autoresearch');
  await expect(openStudy(study)).rejects.toMatchObject({
    type: 'LabError',
    message: expect.stringContaining('git branch -m autoresearch'),
  });
});

test('another device or another torch than the study was scored with is refused, with what to do', async () => {
  const place = newStudy();
  await openStudy(place.study);
  await addRecord(place, 0, place.base);
  const machine = { device: 'NVIDIA H200', torch: '2.15' };
  await expect(openStudy(place.study, { machine: async () => machine })).rejects.toMatchObject({
    type: 'StudyMismatch',
    message: expect.stringMatching(/another device \(cpu, NVIDIA H200\) .*: restore the earlier one/),
  });
});

test('what an agent may not have is refused before the baseline, and only where a command proposes', async () => {
  const { study } = newStudy();
  process.env['AUTORESEARCH_AGENT_WRITES'] = '/nowhere/at/all';
  try {
    await openStudy(study);
    const asking = { ...newStudy().study, researcher: 'command+tpe', researcherCommand: 'agent' };
    await expect(openStudy(asking)).rejects.toMatchObject({
      type: 'AgentSettingsError',
      nonRetryable: true,
      message: expect.stringContaining('it does not exist'),
    });
  } finally {
    delete process.env['AUTORESEARCH_AGENT_WRITES'];
  }
});
