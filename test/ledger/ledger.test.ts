import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { RefConflict } from '../../src/ledger/git';
import {
  appendRecord,
  LedgerError,
  openLedger,
  readLedger,
  readRecord,
  readStudy,
  saveStudy,
} from '../../src/ledger/ledger';
import { editTree, writeBlob, writeCommit } from '../../src/ledger/objects';
import { ledgerRef } from '../../src/ledger/refs';
import { parseResults, resultsTable } from '../../src/ledger/results-tsv';
import { git, makeLab, makeRecord, makeStudy, temporary } from '../labs/make-lab';
import type { append } from './steps';

function open() {
  const lab = makeLab();
  const study = makeStudy(lab.root, lab.base);
  return { ...lab, study };
}

test('a ledger is begun once, and what it holds then stays', async () => {
  const { git: repository, study, root } = open();
  await openLedger(repository, study);
  const head = git(root, 'rev-parse', ledgerRef(study.tag));
  const again = await openLedger(repository, { ...study, limits: { ...study.limits, experiments: 3 } });
  expect(again).toEqual(study);
  expect(git(root, 'rev-parse', ledgerRef(study.tag))).toBe(head);
});

test('records are read back as they were written, in order', async () => {
  const { git: repository, study } = open();
  await openLedger(repository, study);
  const records = [0, 1, 2].map((number) => makeRecord(study, number));
  for (const record of records) await appendRecord(repository, study, record);
  expect(await readLedger(repository, study.tag)).toEqual(records);
  expect(await readRecord(repository, study.tag, 1)).toEqual(records[1]);
  expect(await readRecord(repository, study.tag, 7)).toBeNull();
});

test('a number is recorded once: the first record wins, with its commit', async () => {
  const { git: repository, study } = open();
  await openLedger(repository, study);
  const first = await appendRecord(repository, study, makeRecord(study, 0));
  await appendRecord(repository, study, makeRecord(study, 1));
  const second = await appendRecord(
    repository,
    study,
    makeRecord(study, 0, { title: 'other', verdict: 'crash' }),
  );
  expect(second).toEqual(first);
  expect(await readLedger(repository, study.tag)).toHaveLength(2);
});

test('the same record gives the same commit in another repository', async () => {
  const [one, two] = [open(), open()];
  const study = { ...one.study, base: one.base };
  const commits = [];
  for (const { git: repository } of [one, two]) {
    await openLedger(repository, study);
    commits.push((await appendRecord(repository, study, makeRecord(study, 0))).commit);
  }
  expect(commits[0]).toBe(commits[1]);
});

test('study.json follows the limits of the last record', async () => {
  const { git: repository, study } = open();
  await openLedger(repository, study);
  const limits = { ...study.limits, gpuHours: 2.5 };
  await appendRecord(repository, { ...study, limits }, makeRecord(study, 0));
  expect((await readStudy(repository, study.tag))?.limits).toEqual(limits);
});

/** Reads the ledger as a person might, in the lab itself and in a working tree beside it; a third is gone. */
async function openAndSwitch() {
  const place = open();
  const { root, study, git: repository } = place;
  await openLedger(repository, study);
  await appendRecord(repository, study, makeRecord(study, 0));
  const branch = `autoresearch-ledger/${study.tag}`;
  const [beside, gone] = [join(temporary(), 'beside'), join(temporary(), 'gone')];
  git(root, 'switch', '--quiet', branch);
  for (const path of [beside, gone]) git(root, 'worktree', 'add', '--quiet', '--force', path, branch);
  rmSync(gone, { recursive: true });
  return { ...place, branch, trees: [root, beside], ledger: git(root, 'rev-parse', branch) };
}

test.each([
  [
    'a record',
    async ({ git: repository, study }: ReturnType<typeof open>) =>
      void (await appendRecord(repository, study, makeRecord(study, 1))),
  ],
  [
    'what a stop saves',
    ({ git: repository, study }: ReturnType<typeof open>) =>
      saveStudy(repository, { ...study, limits: { ...study.limits, gpuHours: 2.5 } }),
  ],
])(
  'whoever has the ledger checked out stays where they read; %s is written all the same',
  async (_, write) => {
    const place = await openAndSwitch();
    const { root, study, branch, trees, ledger } = place;
    await write(place);
    expect(git(root, 'rev-parse', `${branch}^`)).toBe(ledger);
    for (const tree of trees) {
      expect(git(tree, 'status', '--porcelain', '--branch')).toBe('## HEAD (no branch)');
      expect(git(tree, 'rev-parse', 'HEAD')).toBe(ledger);
    }
    git(root, 'switch', '--quiet', '--ignore-other-worktrees', branch);
    expect(git(root, 'rev-parse', 'HEAD')).toBe(git(root, 'rev-parse', ledgerRef(study.tag)));
  },
);

test('what somebody commits who has the ledger checked out takes no record from it', async () => {
  const { git: repository, root, study } = await openAndSwitch();
  writeFileSync(join(root, 'results.tsv'), 'mine\n');
  git(root, 'rm', '--quiet', 'study.json');
  await appendRecord(repository, study, makeRecord(study, 1));
  expect(git(root, 'status', '--porcelain')).toBe(' M results.tsv\nD  study.json');
  git(root, 'commit', '--quiet', '--all', '--message', 'mine');
  await appendRecord(repository, study, makeRecord(study, 2));
  expect((await readLedger(repository, study.tag)).map(({ number }) => number)).toEqual([0, 1, 2]);
  expect(await readStudy(repository, study.tag)).toEqual(study);
});

test('results.tsv is the records, row by row, also when records come out of order', async () => {
  const { git: repository, study, root } = open();
  await openLedger(repository, study);
  const records = [0, 2, 1, 3].map((number) => makeRecord(study, number));
  for (const record of records) await appendRecord(repository, study, record);
  expect(`${git(root, 'show', `${ledgerRef(study.tag)}:results.tsv`)}\n`).toBe(
    resultsTable('val_bpb', records),
  );
});

test('a results.tsv that was tampered with is made anew', async () => {
  const { git: repository, study, root } = open();
  await openLedger(repository, study);
  await appendRecord(repository, study, makeRecord(study, 0));
  const head = git(root, 'rev-parse', ledgerRef(study.tag));
  const id = await writeBlob(repository, 'commit\tval_bpb\n');
  const tree = await editTree(repository, head, [{ path: 'results.tsv', mode: '100644', id }]);
  const tampered = await writeCommit(repository, { tree, parent: head, message: 'x\n', at: study.createdAt });
  await repository.moveRef(ledgerRef(study.tag), tampered, head);
  await appendRecord(repository, study, makeRecord(study, 1));
  expect(
    parseResults(git(root, 'show', `${ledgerRef(study.tag)}:results.tsv`)).map((row) => row.experiment),
  ).toEqual([0, 1]);
});

test('three processes that append at once lose nothing', async () => {
  const { git: repository, study, root } = open();
  await openLedger(repository, study);
  const numbers = [
    [0, 2, 4, 6, 8],
    [1, 3, 5, 7, 9],
    [0, 1, 2, 3, 4],
  ];
  const children = numbers.map((own) => {
    const records = own.map((number) => makeRecord(study, number));
    const parameters: Parameters<typeof append> = [study, records];
    return fork(join(__dirname, 'child.js'), [
      join(__dirname, 'steps.ts'),
      'append',
      JSON.stringify(parameters),
    ]);
  });
  const codes = await Promise.all(
    children.map(async (child: ChildProcess) => (await once(child, 'exit'))[0] as unknown),
  );
  expect(codes).toEqual([0, 0, 0]);
  expect((await readLedger(repository, study.tag)).map(({ number }) => number)).toEqual([
    0, 1, 2, 3, 4, 5, 6, 7, 8, 9,
  ]);
  expect(git(root, 'rev-list', '--count', ledgerRef(study.tag))).toBe('11');
});

test('a ref is moved only from where it was believed to be', async () => {
  const { git: repository, study, base } = open();
  await openLedger(repository, study);
  await expect(repository.moveRef(ledgerRef(study.tag), base, null)).rejects.toThrow(RefConflict);
});

test.each([
  ['not JSON', '{', /not JSON/],
  ['a missing field', '{"format":1}', /study/],
  ['a score that is no number', null, /score/],
])('a damaged record is named: %s', async (_, content, message) => {
  const { git: repository, study, root } = open();
  await openLedger(repository, study);
  await appendRecord(repository, study, makeRecord(study, 0));
  const head = git(root, 'rev-parse', ledgerRef(study.tag));
  const id = await writeBlob(
    repository,
    content ?? JSON.stringify({ ...makeRecord(study, 0), score: 'NaN' }),
  );
  const tree = await editTree(repository, head, [{ path: 'experiments/0000.json', mode: '100644', id }]);
  const commit = await writeCommit(repository, { tree, parent: head, message: 'x\n', at: study.createdAt });
  await repository.moveRef(ledgerRef(study.tag), commit, head);
  await expect(readLedger(repository, study.tag)).rejects.toThrow(LedgerError);
  await expect(readLedger(repository, study.tag)).rejects.toThrow(message);
});

test('what a candidate printed does not stop its record', async () => {
  const { git: repository, study, root } = open();
  await openLedger(repository, study);
  const record = makeRecord(study, 0, {
    detail: 'ValueError: \0 \u001b[31m \ud800 \r\n',
    verdict: 'crash',
    score: null,
  });
  await appendRecord(repository, study, record);
  expect((await readLedger(repository, study.tag))[0]?.detail).toBe(record.detail);
  expect(git(root, 'show', '-s', '--format=%b', ledgerRef(study.tag))).toMatch(/^ValueError: +\[31m \ufffd/);
});

test('a record with a score that JSON cannot hold is refused before it is written', async () => {
  const { git: repository, study } = open();
  await openLedger(repository, study);
  await expect(appendRecord(repository, study, makeRecord(study, 0, { score: Number.NaN }))).rejects.toThrow(
    /score/,
  );
  expect(await readLedger(repository, study.tag)).toEqual([]);
});
