import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Verdict } from '../../../src/domain/experiment';
import { createApply } from '../../../src/activities/apply';
import { RESULTS, recordPath } from '../../../src/ledger/ledger';
import { editTree, readText, writeBlob, writeCommit } from '../../../src/ledger/objects';
import { branchRef, experimentRef, ledgerRef, proposalRef } from '../../../src/ledger/refs';
import { repairStudy } from '../../../src/ledger/verify/repair';
import { verifyStudy } from '../../../src/ledger/verify/verify';
import { git as run } from '../../labs/make-lab';
import { propose, studied, type Studied } from './studied';

const TAG = 'nov21';
const VERDICTS: Verdict[] = ['keep', 'discard', 'keep', 'crash', 'discard'];

const whats = async ({ git }: Studied): Promise<string[]> =>
  (await verifyStudy(git, TAG)).differences.map(({ what }) => what);

async function repair({ git }: Studied) {
  return repairStudy(git, TAG, (await verifyStudy(git, TAG)).differences);
}

/** Changes files on the ledger as somebody with an editor would; null takes one out. */
async function commitToLedger(
  { git, study }: Studied,
  files: Record<string, string | null>,
  message = 'Tidy up\n',
): Promise<void> {
  const ref = ledgerRef(TAG);
  const head = run(git.directory, 'rev-parse', ref);
  const changes = await Promise.all(
    Object.entries(files).map(async ([path, content]) => ({
      path,
      mode: '100644',
      id: content === null ? null : await writeBlob(git, content),
    })),
  );
  const tree = await editTree(git, head, changes);
  await git.moveRef(ref, await writeCommit(git, { tree, parent: head, message, at: study.createdAt }), head);
}

async function rewrite(lab: Studied, path: string, change: (text: string) => string): Promise<void> {
  await commitToLedger(lab, { [path]: change((await readText(lab.git, ledgerRef(TAG), path)) ?? '') });
}

const withRuns = (change: (runs: unknown[]) => unknown[]) => (text: string) => {
  const record = JSON.parse(text) as { runs: unknown[] };
  return JSON.stringify({ ...record, runs: change(record.runs) });
};

test('a study that nobody touched agrees with itself, whatever became of its baseline', async () => {
  for (const verdicts of [VERDICTS, ['crash', 'keep'], ['keep'], []] as Verdict[][]) {
    expect(await verifyStudy((await studied(verdicts)).git, TAG)).toMatchObject({
      differences: [],
      notes: [],
    });
  }
});

test('an experiment that was cut off is told, and is no difference', async () => {
  const lab = await studied(VERDICTS);
  const proposal = await propose(lab.git, TAG, 5);
  const incumbent = lab.commits[2]!;
  await createApply()({
    study: lab.study,
    number: 5,
    incumbent,
    proposal,
    repair: null,
    at: lab.study.createdAt,
  });
  const { differences, notes } = await verifyStudy(lab.git, TAG);
  expect(differences).toEqual([]);
  expect(notes).toEqual([expect.stringContaining('experiment 5 is begun and has no record yet')]);
});

describe('results.tsv', () => {
  const damages: [string, (table: string) => string, string[]][] = [
    [
      'without a row',
      (table) => table.replace(/^.*\trate 3\t.*\n/m, ''),
      ['results.tsv has no row of experiment 3'],
    ],
    [
      'with a wrong row',
      (table) => table.replace('discard\trate 1', 'keep\trate 1'),
      ['results.tsv, experiment 1: status is "keep", its record says "discard"'],
    ],
    [
      'with a row twice',
      (table) => table.replace(/^(.*\trate 2\t.*\n)/m, '$1$1'),
      ['results.tsv has 2 rows of experiment 2'],
    ],
    [
      'with a row of nobody',
      (table) => `${table}abcdef0\t1.000000\t0.1\tkeep\tmine\t17\tbetter\t1\t1\t0\n`,
      ['results.tsv has a row of no record: "abcdef0 1.000000 0.1 keep mine 17 better 1 1 0"'],
    ],
    [
      'out of order',
      (table) => table.replace(/^(.*\trate 1\t.*\n)(.*\trate 2\t.*\n)/m, '$2$1'),
      ["results.tsv is not in the records' order, or has other line ends"],
    ],
    [
      'cut off',
      (table) => table.slice(0, 30),
      [
        'of experiment 0',
        'of experiment 1',
        'of experiment 2',
        'of experiment 3',
        'of experiment 4',
        'another header',
      ],
    ],
  ];
  test.each(damages)('%s is seen, and made anew from the records', async (_, damage, seen) => {
    const lab = await studied(VERDICTS);
    const before = await readText(lab.git, ledgerRef(TAG), RESULTS);
    await rewrite(lab, RESULTS, damage);
    const found = await whats(lab);
    expect(found).toEqual(seen.map((pattern) => expect.stringContaining(pattern)));
    expect((await repair(lab)).done).toEqual([expect.stringMatching(/^made results.tsv anew/)]);
    expect(await readText(lab.git, ledgerRef(TAG), RESULTS)).toBe(before);
    expect(await whats(lab)).toEqual([]);
  });

  test('that is not there is made, and nothing changes for whoever has the ledger checked out', async () => {
    const lab = await studied(VERDICTS);
    await commitToLedger(lab, { [RESULTS]: null });
    expect(await whats(lab)).toEqual(['results.tsv is missing']);
    run(lab.root, 'switch', '--quiet', `autoresearch-ledger/${TAG}`);
    await repair(lab);
    expect(await whats(lab)).toEqual([]);
    expect(run(lab.root, 'status', '--porcelain')).toBe('');
  });
});

describe('the branch', () => {
  const places: [string, (lab: Studied) => string | null, RegExp][] = [
    ['moved back', ({ commits }) => commits[0]!, /is at experiment 0 \(keep\).*the last kept commit is #2/],
    ['at a discarded commit', ({ commits }) => commits[4]!, /is at experiment 4 \(discard\)/],
    ['with a commit of somebody on top', commitOnTop, /has commits on top that are no experiment's/],
    ['at the user’s main', ({ study }) => study.base, /is at \w+, which is no experiment's commit/],
    ['deleted', () => null, /is missing; the last kept commit is #2/],
  ];
  test.each(places)('%s goes to the last kept commit', async (_, place, seen) => {
    const lab = await studied(VERDICTS);
    const to = place(lab);
    run(
      lab.root,
      ...(to === null ? ['update-ref', '-d', branchRef(TAG)] : ['update-ref', branchRef(TAG), to]),
    );
    expect(await whats(lab)).toEqual([expect.stringMatching(seen)]);
    const { done } = await repair(lab);
    expect(done).toHaveLength(1);
    expect(done[0]).toContain(to ?? 'made');
    expect(run(lab.root, 'rev-parse', branchRef(TAG))).toBe(lab.commits[2]);
    expect(await whats(lab)).toEqual([]);
  });

  test('that a user has checked out stays where it is', async () => {
    const lab = await studied(VERDICTS);
    run(lab.root, 'update-ref', branchRef(TAG), lab.commits[0]!);
    run(lab.root, 'switch', '--quiet', `autoresearch/${TAG}`);
    const { done, left } = await repair(lab);
    expect(done).toEqual([]);
    expect(left).toEqual([expect.stringContaining('is checked out in')]);
    expect(run(lab.root, 'rev-parse', 'HEAD')).toBe(lab.commits[0]);
  });

  test('that moves while it is looked at is left to whoever moved it', async () => {
    const lab = await studied(VERDICTS);
    run(lab.root, 'update-ref', branchRef(TAG), lab.commits[0]!);
    const { differences } = await verifyStudy(lab.git, TAG);
    run(lab.root, 'update-ref', branchRef(TAG), lab.commits[4]!);
    expect(await repairStudy(lab.git, TAG, differences)).toMatchObject({
      done: [],
      left: [expect.any(String)],
    });
    expect(run(lab.root, 'rev-parse', branchRef(TAG))).toBe(lab.commits[4]);
  });
});

function commitOnTop({ root, commits }: Studied): string {
  return run(root, 'commit-tree', '-m', 'mine', '-p', commits[2]!, `${commits[2]!}^{tree}`);
}

describe('refs', () => {
  test('a candidate’s ref that is gone is made again, where its commit is still there', async () => {
    const lab = await studied(VERDICTS);
    run(lab.root, 'update-ref', '-d', experimentRef(TAG, 3));
    expect(await whats(lab)).toEqual([expect.stringMatching(/exp\/0003 is missing; record 0003 says/)]);
    await repair(lab);
    expect(run(lab.root, 'rev-parse', experimentRef(TAG, 3))).toBe(lab.commits[3]);
    expect(await whats(lab)).toEqual([]);
  });

  test('what only another copy of the study can give back is told, and left', async () => {
    const lab = await studied(VERDICTS);
    run(lab.root, 'update-ref', experimentRef(TAG, 1), lab.commits[4]!);
    run(lab.root, 'update-ref', '-d', proposalRef(TAG, 2));
    const lost = lab.commits[3]!;
    run(lab.root, 'update-ref', '-d', experimentRef(TAG, 3));
    rmSync(join(lab.root, '.git', 'objects', lost.slice(0, 2), lost.slice(2)));
    run(lab.root, 'update-ref', experimentRef(TAG, 9), lab.commits[0]!);
    expect(await whats(lab)).toEqual([
      expect.stringMatching(/exp\/0001 is at \w+; record 0001 says/),
      expect.stringMatching(/proposal\/0002 is missing/),
      expect.stringMatching(/exp\/0003 is missing/),
      expect.stringMatching(/git has no commit \w+, the candidate of experiment 3/),
      expect.stringMatching(/exp\/0009 belongs to no record, and experiment 5 is next/),
    ]);
    expect(await repair(lab)).toEqual({ done: [], left: [] });
    expect(await whats(lab)).toHaveLength(5);
  });
});

describe('records are the truth, and never mended', () => {
  const damages: [string, (lab: Studied) => Promise<void>, RegExp[]][] = [
    [
      'a gap',
      (lab) => commitToLedger(lab, { [recordPath(1)]: null }),
      [/^experiment 1 has no record/, /was changed/],
    ],
    [
      'a number twice',
      async (lab) => {
        const text = await readText(lab.git, ledgerRef(TAG), recordPath(2));
        await commitToLedger(lab, { 'experiments/00002.json': text });
      },
      [/00002.json is not a good record: a second file of experiment 2/, /00002.json was changed by commit/],
    ],
    [
      'a record of another study',
      (lab) => rewrite(lab, recordPath(4), (text) => text.replace('"study": "nov21"', '"study": "nov20"')),
      [/0004.json is not a good record: it says experiment 4 of study nov20/, /was changed by commit/],
    ],
    [
      'a tampered verdict',
      (lab) =>
        rewrite(lab, recordPath(4), (text) =>
          text.replace('"verdict": "discard"', '"verdict": "keep"').replace('not-better', 'better'),
        ),
      [
        /record 0004 says "0004 keep: rate 4", its commit \w+ "0004 discard: rate 4"/,
        /^record 4 says keep \(better\), score 2.004; by its runs it is discard \(not-better\), score 2.004/,
        /was changed by commit/,
      ],
    ],
    [
      'a tampered score',
      (lab) => rewrite(lab, recordPath(2), (text) => text.replaceAll('1.998', '1.5')),
      [/experiment 3 says that it was tried against/, /experiment 4 says/, /0002.json was changed by commit/],
    ],
    [
      'a run that scored otherwise',
      (lab) =>
        rewrite(lab, recordPath(1), (text) =>
          text.replace(/"score": 2.001,\n {6}"scoreSeconds"/, '"score": 1.5, "scoreSeconds"'),
        ),
      [
        /^record 1 says discard \(not-better\), score 2.001; by its runs it is keep \(better\), score 1.5$/,
        /0001.json was changed by commit/,
      ],
    ],
    [
      'a run of another commit',
      (lab) =>
        rewrite(lab, recordPath(1), (text) => text.replace('"arm": "candidate"', '"arm": "incumbent"')),
      [
        /^run 1 of experiment 1 is of the incumbent \w+ on val; the policy asks for the candidate/,
        /was changed/,
      ],
    ],
    [
      'a run that is not there, and one too many',
      async (lab) => {
        await rewrite(
          lab,
          recordPath(1),
          withRuns(() => []),
        );
        await rewrite(
          lab,
          recordPath(4),
          withRuns((all) => [...all, ...all]),
        );
      },
      [
        /^experiment 1 has no run 1, which the greedy policy asks for/,
        /^experiment 4 has 2 runs; the greedy policy decides after 1/,
        /was changed/,
        /was changed/,
      ],
    ],
    [
      'a lucky seed',
      (lab) => rewrite(lab, recordPath(1), (text) => text.replace(/"seed": \d+/, '"seed": 137')),
      [/run 1 of experiment 1 has seed 137; the lab gives it \d+/, /was changed by commit/],
    ],
    [
      'half a file',
      (lab) => rewrite(lab, recordPath(4), (text) => text.slice(0, 99)),
      [/0004.json .*not JSON/, /changed/],
    ],
    [
      'a broken study.json',
      (lab) => rewrite(lab, 'study.json', () => '{}'),
      [/^study.json is damaged: format/],
    ],
    [
      'a record that was written again in the name of the study',
      async (lab) => {
        const text = await readText(lab.git, ledgerRef(TAG), recordPath(1));
        const message = run(lab.root, 'log', '-1', '--format=%B', ledgerRef(TAG), '--', recordPath(1));
        await commitToLedger(lab, { [recordPath(1)]: `${text ?? ''}\n` }, `${message}\n`);
      },
      [/^experiment 1 was recorded 2 times/],
    ],
  ];
  test.each(damages)('%s', async (_, damage, seen) => {
    const lab = await studied(VERDICTS);
    await damage(lab);
    // Nothing is derived from records that are not whole.
    run(lab.root, 'update-ref', branchRef(TAG), lab.commits[0]!);
    const { differences } = await verifyStudy(lab.git, TAG);
    const found = differences.filter(({ about }) => about === 'ledger').map(({ what }) => what);
    expect(found).toEqual(seen.map((pattern) => expect.stringMatching(pattern)));
    expect(await repair(lab)).toEqual({ done: [], left: [] });
    expect(run(lab.root, 'rev-parse', branchRef(TAG))).toBe(lab.commits[0]);
  });

  test('a ledger that was moved back is not taken for the truth about the branch', async () => {
    const lab = await studied(['keep', 'discard', 'keep']);
    run(lab.root, 'update-ref', ledgerRef(TAG), `${ledgerRef(TAG)}~1`);
    expect(await whats(lab)).toEqual([`autoresearch/${TAG} is at experiment 0002, which has no record`]);
    expect(await repair(lab)).toEqual({ done: [], left: [] });
  });

  test('a ledger that is gone, and objects that cannot be read', async () => {
    const lab = await studied(VERDICTS);
    const blob = run(lab.root, 'rev-parse', `${ledgerRef(TAG)}:${recordPath(2)}`);
    const path = join(lab.root, '.git', 'objects', blob.slice(0, 2), blob.slice(2));
    rmSync(path);
    expect(await whats(lab)).toEqual([expect.stringMatching(/0002.json .*git has not got its content/)]);
    run(lab.root, 'update-ref', '-d', ledgerRef(TAG));
    expect(await whats(lab)).toEqual([
      `the branch autoresearch-ledger/${TAG} is gone, other refs of the study are there`,
    ]);
  });
});
