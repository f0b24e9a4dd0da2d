import { createApply } from '../../src/activities/apply';
import type { ApplyInput } from '../../src/activities/interface';
import { storeProposal, type Edit } from '../../src/ledger/proposals';
import { appendRecord, openLedger } from '../../src/ledger/ledger';
import { readText } from '../../src/ledger/objects';
import { git, LAB_YAML, makeLab, makeRecord, makeStudy, write } from '../labs/make-lab';

const apply = createApply();

async function propose(edits: Edit[], change: Partial<ApplyInput> = {}) {
  const lab = makeLab();
  const study = makeStudy(lab.root, lab.base);
  const proposal = await storeProposal(lab.git, study.tag, 1, {
    format: 1,
    title: 'Deeper',
    hypothesis: 'Depth helps.',
    edits,
  });
  const input: ApplyInput = {
    study,
    number: 1,
    incumbent: lab.base,
    proposal,
    repair: null,
    at: '2026-11-21T01:00:00.000Z',
    ...change,
  };
  return { lab, input };
}

const OOM = { reason: 'oom' as const, message: 'out of memory', tail: '' };
const DEEPER: Edit[] = [{ path: 'train.py', search: 'DEPTH = 2', replace: 'DEPTH = 3' }];

test('a proposal becomes the experiment’s commit', async () => {
  const { lab, input } = await propose(DEEPER);
  const { commit, failure } = await apply(input);
  expect(failure).toBeNull();
  expect(await readText(lab.git, commit, 'train.py')).toContain('DEPTH = 3');
  expect(git(lab.root, 'rev-parse', 'refs/autoresearch/nov21/exp/0001', `${commit}^`).split('\n')).toEqual([
    commit,
    lab.base,
  ]);
  expect(git(lab.root, 'show', '-s', '--format=%s', commit)).toBe('Deeper');
});

test('again, or by two workers at once, it is the same commit', async () => {
  const { input } = await propose(DEEPER);
  const [first, second] = await Promise.all([apply(input), apply(input)]);
  expect(second).toEqual(first);
  expect(await apply(input)).toEqual(first);
});

test('an experiment that was cut off and begun later keeps its commit', async () => {
  const { input } = await propose(DEEPER);
  const first = await apply(input);
  expect(await apply({ ...input, at: '2026-11-22T01:00:00.000Z' })).toEqual(first);
});

test('an experiment that was cut off while its second repair ran gives the same commits again', async () => {
  const { lab, input } = await propose(DEEPER);
  const ref = 'refs/autoresearch/nov21/exp/0001';
  const mendedTo = (depth: number, attempt: number) =>
    storeProposal(
      lab.git,
      'nov21',
      1,
      {
        format: 1,
        title: 'Deeper',
        hypothesis: 'Depth helps.',
        edits: [{ path: 'train.py', content: `DEPTH = ${depth}\n` }],
      },
      attempt,
    );
  const mended = [await mendedTo(4, 1), await mendedTo(5, 2)];
  const all = async (at: string): Promise<string[]> => {
    const commits = [(await apply({ ...input, at })).commit];
    for (const [index, proposal] of mended.entries()) {
      const repair = { attempt: index + 1, commit: commits[index]!, failure: OOM };
      commits.push((await apply({ ...input, proposal, repair, at })).commit);
      // Whichever is tried is what a record would name.
      expect(git(lab.root, 'rev-parse', ref)).toBe(commits.at(-1));
    }
    return commits;
  };
  const first = await all('2026-11-21T01:00:00.000Z');
  expect(new Set(first).size).toBe(3);
  expect(await all('2026-11-22T01:00:00.000Z')).toEqual(first);

  // The candidate may not crash when it is tried again: then it has the place that its repair had.
  expect((await apply({ ...input, at: '2026-11-23T01:00:00.000Z' })).commit).toBe(first[0]);
  expect(git(lab.root, 'rev-parse', ref)).toBe(first[0]);
});

test('the baseline is an empty commit on the base', async () => {
  const { lab, input } = await propose(DEEPER, { number: 0, proposal: null });
  const { commit, failure } = await apply(input);
  expect(failure).toBeNull();
  expect(git(lab.root, 'diff', lab.base, commit)).toBe('');
  expect(git(lab.root, 'show', '-s', '--format=%s', commit)).toBe('baseline');
});

test('edits that break a rule are a failure with an empty commit, not an error', async () => {
  const { lab, input } = await propose([...DEEPER, { path: 'score.py', content: 'print(0)\n' }]);
  const { commit, failure } = await apply(input);
  expect(failure).toEqual({ reason: 'rejected', message: '"score.py" is locked', tail: '' });
  expect(git(lab.root, 'diff', lab.base, commit)).toBe('');
  expect(git(lab.root, 'rev-parse', 'refs/autoresearch/nov21/exp/0001')).toBe(commit);
  expect(await apply(input)).toEqual({ commit, failure });
});

test('data in an edit is a failure with an empty commit, and counted with all that was kept before', async () => {
  const rows: Edit[] = [{ path: 'train.py', content: `DEPTH = 2\nX = "${'x'.repeat(4000)}"\n` }];
  const { lab, input } = await propose(rows);
  const first = await apply(input);
  expect(first.failure).toBeNull();
  const more: Edit[] = [
    { path: 'train.py', search: 'DEPTH = 2', replace: `DEPTH = 2\nY = "${'y'.repeat(4500)}"` },
  ];
  const proposal = await storeProposal(lab.git, 'nov21', 2, {
    format: 1,
    title: 'More',
    hypothesis: '',
    edits: more,
  });
  const second = await apply({ ...input, number: 2, incumbent: first.commit, proposal });
  expect(second.failure).toMatchObject({
    reason: 'rejected',
    message: expect.stringMatching(
      /hold 8\d+ bytes of strings and numbers .* caps\.literal_bytes allows 8192/,
    ),
  });
  expect(git(lab.root, 'diff', first.commit, second.commit)).toBe('');
});

test('an experiment that has its record keeps its commit, whatever is proposed', async () => {
  const { lab, input } = await propose(DEEPER);
  const first = await apply(input);
  await openLedger(lab.git, makeStudy(lab.root, lab.base));
  await appendRecord(
    lab.git,
    makeStudy(lab.root, lab.base),
    makeRecord(makeStudy(lab.root, lab.base), 1, { commit: first.commit }),
  );
  const other = await storeProposal(lab.git, 'other', 1, {
    format: 1,
    title: 'Other',
    hypothesis: '',
    edits: DEEPER,
  });
  expect(await apply({ ...input, proposal: other })).toEqual(first);
});

test('the rules are the base’s, whatever the lab’s later commits say', async () => {
  const { lab, input } = await propose([{ path: 'score.py', content: 'print(0)\n' }]);
  write(lab.root, {
    'lab.yaml': LAB_YAML.replace('train.py,', 'train.py, score.py,').replace('score.py, prepare', 'prepare'),
  });
  git(lab.root, 'commit', '-qam', 'loosen');
  const incumbent = git(lab.root, 'rev-parse', 'HEAD');
  expect((await apply({ ...input, incumbent })).failure?.message).toBe('"score.py" is locked');
});
