import { chdir, cwd } from 'node:process';
import { autoresearch, asJson, labWith } from './invoke';
import { makeRun, temporary } from '../labs/make-lab';

const BASELINE = { title: 'baseline', score: 2 };
const ESCAPE = '\u001B';

describe('a study and its ledger, without a server', () => {
  it('is found by its tag from anywhere, and read from git', async () => {
    await labWith({
      solo: [
        BASELINE,
        { verdict: 'keep', score: 1.9, title: `wider ${ESCAPE}[31mnow${ESCAPE}]0;owned\u0007` },
        { verdict: 'discard', reason: 'not-better', score: 1.95, title: 'a very long title '.repeat(6) },
        { verdict: 'crash', reason: 'oom', score: null, title: 'too deep' },
      ],
    });
    const { exitCode, stdout } = await autoresearch('history', 'solo');
    expect(exitCode).toBe(0);
    expect(stdout).not.toContain(ESCAPE);
    expect(stdout.split('\n').every((line) => line.length <= 80)).toBe(true);
    expect(stdout).toMatch(/^1 +1\.9000 +−5\.0 % +keep .*wider now$/m);
    expect(stdout).toMatch(/^2 +1\.9500 +\+2\.6 % +discard .*a very long.*…$/m);
    expect(stdout).toMatch(/^3 +– +crash: oom .*too deep$/m);
    expect(stdout.replace(/\s+/gu, ' ')).toContain(
      'Runs: 4 · 2 kept · 1 discarded · 1 crashed · best 1.9000 (−5.0 % vs baseline) at #1',
    );
  });

  it('gives its results as the field knows them', async () => {
    await labWith({ fields: [BASELINE, { verdict: 'crash', reason: 'oom', score: null }] });
    const { stdout } = await autoresearch('history', 'fields', '--tsv');
    const rows = stdout
      .trimEnd()
      .split('\n')
      .map((line) => line.split('\t').slice(0, 5));
    expect(rows[0]).toEqual(['commit', 'val_bpb', 'memory_gb', 'status', 'description']);
    expect(rows[2]?.slice(1, 4)).toEqual(['0.000000', '0.0', 'crash']);
  });

  it('gives every record as JSON', async () => {
    await labWith({ json: [BASELINE, { score: 1.9 }] });
    const { exitCode, document } = await asJson('history', 'json');
    expect(exitCode).toBe(0);
    expect(document.study).toMatchObject({ tag: 'json', metric: 'val_bpb' });
    expect(
      document.experiments.map(({ number, score }: { number: number; score: number }) => [number, score]),
    ).toEqual([
      [0, 2],
      [1, 1.9],
    ]);
  });

  it('has a status from the ledger, which says that nobody knows whether it runs', async () => {
    await labWith({ quiet: [BASELINE, { score: 1.9, title: 'wider' }] });
    const { exitCode, stdout } = await autoresearch('status', 'quiet');
    expect(exitCode).toBe(0);
    expect(stdout).toMatch(/^quiet · unknown · researcher tpe$/m);
    expect(stdout).toMatch(/^best +val_bpb 1\.9000 at #1 \(\w{7}\) · wider$/m);
    expect(stdout).toMatch(/^budget +2 experiments · GPU 14 s · wall 20 s · no limits$/m);
    expect(stdout).toMatch(/^sandbox +bubblewrap$/m);
    expect(stdout).toContain('no Temporal server is running');
    expect(stdout.split('\n').filter((line) => line.length > 80 && !/^ +\//.test(line))).toEqual([]);
    const { document } = await asJson('status', 'quiet');
    expect(document).toMatchObject({
      source: 'ledger',
      study: { tag: 'quiet', phase: 'unknown', kept: 2 },
      current: null,
    });
  });

  it('says loudly that a run was not contained', async () => {
    await labWith({ loose: [{ ...BASELINE, runs: [{ ...makeRun(2), sandbox: 'none' }] }] });
    expect((await autoresearch('status', 'loose')).stdout).toMatch(/^sandbox +none: runs are NOT contained/m);
  });
});

it('says how the last run was contained, also where the last experiment had none', async () => {
  await labWith({ idle: [BASELINE, { verdict: 'crash', reason: 'no-proposal', runs: [], score: null }] });
  expect((await autoresearch('status', 'idle')).stdout).toMatch(/^sandbox +bubblewrap$/m);
});

describe('which study is meant', () => {
  it('is clear while there is one, in the folder of its lab', async () => {
    const { root } = await labWith({ only: [BASELINE] });
    const before = cwd();
    chdir(root);
    try {
      expect((await asJson('history')).document.study.tag).toBe('only');
    } finally {
      chdir(before);
    }
    expect((await asJson('history', '--lab', root)).document.study.tag).toBe('only');
  });

  it('is the latest to look at, and asked for to act on, with a list', async () => {
    const { root } = await labWith({ first: [BASELINE], second: [BASELINE] });
    for (const name of ['history', 'status']) {
      const { exitCode, document } = await asJson(name, '--lab', root);
      expect([exitCode, document.study.tag]).toEqual([0, 'first']);
    }
    const { exitCode, stderr } = await autoresearch('pause', '--lab', root);
    expect(exitCode).toBe(2);
    expect(stderr).toMatch(
      /none of these studies runs.*\n {2}first +\/.*\n {2}second +\/.*\n {2}→ name its tag/,
    );
  });

  it('is asked for when two labs use one tag', async () => {
    const one = await labWith({ twin: [BASELINE] });
    const other = await labWith({ twin: [BASELINE] });
    const { exitCode, stderr } = await autoresearch('show', '0', 'twin');
    expect(exitCode).toBe(2);
    expect(stderr).toContain(one.root);
    expect(stderr).toContain(other.root);
    const { document } = await asJson('history', 'twin');
    expect(document.studies.map(({ lab }: { lab: string }) => lab).toSorted()).toEqual(
      [one.root, other.root].toSorted(),
    );
    expect((await asJson('history', 'twin', '--lab', other.root)).document.study.lab).toBe(other.root);
  });

  it('is listed with all others, the latest first; nothing to list is no error', async () => {
    const { root } = await labWith({ first: [BASELINE], second: [BASELINE, { score: 1.9 }] });
    const { exitCode, document } = await asJson('list', '--lab', root);
    expect(exitCode).toBe(0);
    expect(document.studies).toMatchObject([
      { tag: 'first', experiments: 1, runs: false, lab: root },
      { tag: 'second', experiments: 2 },
    ]);
    expect((await autoresearch('list', '--lab', root)).stdout).toMatch(/^second +ended +Runs: 2/m);
    const empty = await labWith({});
    expect((await asJson('list', '--lab', empty.root)).document).toEqual({ studies: [] });
  });

  it('is shown with its limits by `budget` alone', async () => {
    const { root } = await labWith({ spending: [BASELINE] });
    const { exitCode, document } = await asJson('budget', '--lab', root);
    expect([exitCode, document]).toEqual([
      0,
      expect.objectContaining({ tag: 'spending', limits: expect.any(Object) }),
    ]);
  });

  it('is not found: exit code 5, with the studies there are', async () => {
    const { root } = await labWith({ present: [BASELINE] });
    const { exitCode, document } = await asJson('history', 'absent', '--lab', root);
    expect(exitCode).toBe(5);
    expect(document.error.code).toBe('not-found');
    expect(document.error.message).toContain('present');
  });

  it('cannot be in a folder that is no git repository: exit code 3', async () => {
    const { exitCode, stderr } = await autoresearch('history', '--lab', temporary());
    expect(exitCode).toBe(3);
    expect(stderr).toContain('is not a git repository');
  });
});

describe('what needs a server', () => {
  it.each([['stop'], ['pause'], ['hint', 'wider'], ['budget', '--hours', '3']])(
    '%s: exit code 4, and how to start one',
    async (...argv) => {
      const [name = '', ...more] = argv;
      const { root } = await labWith({ alone: [BASELINE] });
      const { exitCode, stderr } = await autoresearch(name, ...more, '--lab', root);
      expect(exitCode).toBe(4);
      expect(stderr).toContain('npx autoresearch up');
    },
  );
});
