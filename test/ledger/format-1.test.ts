/** A ledger that version 0.4 committed (fixtures/study-0.4.bundle, made by its own activities), read by today's code. */
import { join } from 'node:path';
import { checkStudy } from '../../src/cli/start';
import { summarize } from '../../src/domain/experiment';
import { rebuild } from '../../src/domain/study';
import { Git } from '../../src/ledger/git';
import { appendRecord, readLedger, readStudy, RESULTS } from '../../src/ledger/ledger';
import { readText } from '../../src/ledger/objects';
import { branchRef, ledgerRef } from '../../src/ledger/refs';
import { verifyStudy } from '../../src/ledger/verify/verify';
import { git, makeRecord, temporary } from '../labs/make-lab';

const BUNDLE = join(__dirname, 'fixtures', 'study-0.4.bundle');

function oldLab(): { root: string; repository: Git } {
  const root = temporary('old');
  git(root, 'init', '--quiet', '--initial-branch=other');
  git(root, 'fetch', '--quiet', BUNDLE, '+refs/*:refs/*');
  git(root, 'switch', '--quiet', 'main');
  return { root, repository: new Git(root) };
}

test('its records are today’s: policy, seal, class, and of whom each run is', async () => {
  const { repository } = oldLab();
  expect(await readStudy(repository, 'old')).toMatchObject({
    format: 2,
    policy: { name: 'greedy', params: {} },
    metric: 'val_bpb',
    repairs: 2,
  });
  const records = await readLedger(repository, 'old');
  expect(records.map(({ verdict, score }) => [verdict, score])).toEqual([
    ['keep', 2],
    ['keep', 1.9],
    ['discard', 1.95],
    ['keep', 1.8],
    ['crash', null],
    ['discard', 1.81],
    ['crash', null],
  ]);
  expect(records[1]).toMatchObject({
    format: 2,
    policy: { name: 'greedy' },
    seal: 'graph',
    class: { device: 'cpu', torch: '2.15', lab: 'lab', data: 'data' },
    runs: [
      {
        arm: 'candidate',
        commit: records[1]!.commit,
        split: 'val',
        metrics: { steps: 10, tokens: 2560, peakMemoryMb: 1536, lastLoss: 2.5, parameters: 1000 },
      },
    ],
  });
  expect(records[1]).not.toHaveProperty('fingerprint');
  expect(records[1]!.runs[0]).not.toHaveProperty('steps');
  // A candidate that crashed and its repair have a run each.
  const [crashed, repaired] = records[3]!.runs;
  expect([crashed!.commit, repaired!.commit]).toEqual([records[3]!.repairs[0]!.commit, records[3]!.commit]);
  expect(
    rebuild((await readStudy(repository, 'old'))!.limits, records.map(summarize)).incumbent,
  ).toMatchObject({ experiment: 3, score: 1.8, scores: [1.8] });
});

test('all of it agrees, each verdict by the policy again', async () => {
  expect(await verifyStudy(oldLab().repository, 'old')).toMatchObject({ differences: [], notes: [] });
});

test('a record of today goes on top, and leaves the old ones as they are', async () => {
  const { root, repository } = oldLab();
  const study = (await readStudy(repository, 'old'))!;
  const table = await readText(repository, ledgerRef('old'), RESULTS);
  const before = git(root, 'rev-parse', `${ledgerRef('old')}:experiments/0003.json`);
  await appendRecord(repository, study, makeRecord(study, 7, { commit: study.base }));
  expect(git(root, 'rev-parse', `${ledgerRef('old')}:experiments/0003.json`)).toBe(before);
  expect((await readText(repository, ledgerRef('old'), RESULTS))?.startsWith(table!)).toBe(true);
  expect(await readLedger(repository, 'old')).toHaveLength(8);
});

describe('start --from', () => {
  const asked = { researcher: 'command', command: 'true', tag: 'new' } as const;

  test('begins from the incumbent of the earlier study, in the place of HEAD', async () => {
    const { root } = oldLab();
    const { lab } = await checkStudy({ ...asked, lab: root, from: 'old' });
    expect(lab.head).toBe(git(root, 'rev-parse', branchRef('old')));
    expect(lab.head).not.toBe(git(root, 'rev-parse', 'HEAD'));
    expect(git(root, 'show', `${lab.head}:train.py`)).toBe('LEARNING_RATE = 0.31');
    expect((await checkStudy({ ...asked, lab: root })).lab.head).toBe(git(root, 'rev-parse', 'HEAD'));
  });

  test('says what is wrong with a study that is not there, has no score, or has lost its commit', async () => {
    const { root, repository } = oldLab();
    await expect(checkStudy({ ...asked, lab: root, from: 'gone' })).rejects.toThrow(
      'the lab has no study gone to begin from',
    );
    const head = await repository.resolve(ledgerRef('old'));
    git(root, 'update-ref', ledgerRef('old'), `${head}~7`);
    await expect(checkStudy({ ...asked, lab: root, from: 'old' })).rejects.toThrow(
      'study old has no incumbent yet',
    );
    git(root, 'update-ref', ledgerRef('old'), head!);
    for (const ref of git(root, 'for-each-ref', '--format=%(refname)').split('\n'))
      if (!/main|ledger/.test(ref)) git(root, 'update-ref', '-d', ref);
    git(root, 'reflog', 'expire', '--expire=now', '--all');
    git(root, 'gc', '--quiet', '--prune=now');
    await expect(checkStudy({ ...asked, lab: root, from: 'old' })).rejects.toThrow(/git has no commit \w+/);
  });
});
