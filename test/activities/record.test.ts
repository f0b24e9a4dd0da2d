import { UNLIMITED } from '../../src/domain/limits';
import { NOTHING_WAITS } from '../../src/domain/waiting';
import { createApply } from '../../src/activities/apply';
import { baselineRun } from '../../src/runs/baseline-run';
import { comparableRuns } from '../../src/runs/comparable-runs';
import type { RecordInput } from '../../src/activities/interface';
import { createRecord } from '../../src/activities/record';
import type { Decision } from '../../src/domain/policies/policy';
import type { StudyConfig } from '../../src/domain/study';
import type { Knob } from '../../src/domain/lab';
import { storeProposal, type Proposal } from '../../src/ledger/proposals';
import { openLedger, readLedger, readStudy } from '../../src/ledger/ledger';
import { branchRef, ledgerRef } from '../../src/ledger/refs';
import { git, makeLab, makeRun, makeStudy } from '../labs/make-lab';
import { makeResearch } from '../ledger/research';

const AT = '2026-11-21T01:00:00.000Z';
const KEEP: Decision = { verdict: 'keep', reason: 'better', score: 1.9, detail: 'better' };
const DISCARD: Decision = { verdict: 'discard', reason: 'not-better', score: 1.9, detail: 'not better' };
const CRASH: Decision = { verdict: 'crash', reason: 'oom', score: null, detail: 'out of memory' };

const cleaned: number[] = [];
const record = createRecord({ cleanUp: async ({ number }) => void cleaned.push(number) });

async function open() {
  const lab = makeLab();
  const study = makeStudy(lab.root, lab.base);
  await openLedger(lab.git, study);
  await lab.git.moveRef(branchRef(study.tag), lab.base, null);
  return { ...lab, study };
}

type Place = Awaited<ReturnType<typeof open>>;

/** What the workflow passes on at the end of experiment `number`, on top of `incumbent`. */
async function finished(
  { git: repository, study, base }: Place,
  number: number,
  decision: Decision,
  incumbent = base,
): Promise<RecordInput> {
  const edits = [{ path: 'train.py', content: `print(${number})\n` }];
  const stored = { format: 1 as const, title: `change ${number}`, hypothesis: 'because', edits };
  const proposal = number === 0 ? null : await storeProposal(repository, study.tag, number, stored);
  const { commit } = await createApply()({ study, number, incumbent, proposal, repair: null, at: AT });
  return {
    study,
    number,
    commit,
    incumbent: number === 0 ? null : { commit: incumbent, experiment: 0, score: 2, scores: [2] },
    proposals: proposal === null ? [] : [proposal],
    taken: NOTHING_WAITS,
    decision,
    failure: null,
    runs: [{ ...makeRun(decision.verdict === 'crash' ? null : 1.9), commit }],
    repairs: [],
    startedAt: AT,
    finishedAt: '2026-11-21T01:01:00.000Z',
    dollars: 0,
    seal: 'graph',
    class: { device: 'cpu', torch: '2.15', lab: 'lab', data: 'data' },
    limits: study.limits,
  };
}

const branchOf = ({ root, study }: Place): string => git(root, 'rev-parse', branchRef(study.tag));
const refsOf = ({ root }: Place): string => git(root, 'for-each-ref', '--format=%(refname) %(objectname)');

test('keep moves the branch to the candidate and writes the record', async () => {
  const place = await open();
  const input = await finished(place, 1, KEEP);
  const { ledger, branch } = await record(input);
  expect(branch).toBe(input.commit);
  expect(branchOf(place)).toBe(input.commit);
  expect(git(place.root, 'rev-parse', ledgerRef('nov21'))).toBe(ledger);
  expect(await readLedger(place.git, 'nov21')).toMatchObject([
    {
      number: 1,
      title: 'change 1',
      hypothesis: 'because',
      score: 1.9,
      incumbentScore: 2,
      commit: input.commit,
      incumbent: place.base,
    },
  ]);
  expect(cleaned).toContain(1);
});

test.each([DISCARD, CRASH])('$verdict leaves the branch', async (decision) => {
  const place = await open();
  const { branch } = await record(await finished(place, 1, decision));
  expect(branch).toBe(place.base);
  expect(branchOf(place)).toBe(place.base);
});

test.each([{ ...KEEP, reason: 'baseline' as const }, CRASH])(
  'the baseline is the first incumbent, also after $reason',
  async (decision) => {
    const place = await open();
    const input = await finished(place, 0, decision);
    await record(input);
    expect(branchOf(place)).toBe(input.commit);
    expect(await readLedger(place.git, 'nov21')).toMatchObject([
      { number: 0, title: 'baseline', researcher: 'baseline' },
    ]);
  },
);

test('the limits of the moment are kept for a resume', async () => {
  const place = await open();
  const limits = { ...UNLIMITED, experiments: 9, hours: 1.5 };
  await record({ ...(await finished(place, 1, DISCARD)), limits });
  expect((await readStudy(place.git, 'nov21'))?.limits).toEqual(limits);
});

test('done twice, or by two workers at once, it is done once', async () => {
  const place = await open();
  const input = await finished(place, 1, KEEP);
  const [first, second] = await Promise.all([record(input), record(input)]);
  const refs = refsOf(place);
  expect(second).toEqual(first);
  expect(await record(input)).toEqual(first);
  expect(refsOf(place)).toBe(refs);
  expect(git(place.root, 'rev-list', '--count', ledgerRef('nov21'))).toBe('2');
});

test('cut off between ledger and branch, it ends as if it had not been', async () => {
  const whole = await open();
  const place = await open();
  const input = await finished(place, 1, KEEP);
  await record(await finished(whole, 1, KEEP));
  git(place.root, 'checkout', '--quiet', 'autoresearch/nov21');
  await expect(record(input)).rejects.toThrow(/checked out/);
  expect(branchOf(place)).toBe(place.base);
  expect(await readLedger(place.git, 'nov21')).toHaveLength(1);
  git(place.root, 'checkout', '--quiet', 'main');
  await record(input);
  expect(branchOf(place)).toBe(input.commit);
  expect(await readLedger(place.git, 'nov21')).toHaveLength(1);
});

test('a record that is there decides, also when this one says something else', async () => {
  const place = await open();
  const input = await finished(place, 1, DISCARD);
  const first = await record(input);
  expect(await record({ ...input, decision: KEEP })).toEqual(first);
  expect(branchOf(place)).toBe(place.base);
});

test('what the record that counts took in is told, not what another would have', async () => {
  const place = await open();
  const input = await finished(place, 1, DISCARD);
  const taken = { hints: [], ideas: ['sparse attention'], droppedIdeas: ['0.1'] };
  expect(await record({ ...input, taken })).toMatchObject({ taken });
  const later = { ...taken, ideas: ['sparse attention', 'said since'] };
  expect(await record({ ...input, taken: later })).toMatchObject({ taken });
});

test('a branch that the user has checked out is not moved; the record is kept, and the message says what to do', async () => {
  const place = await open();
  git(place.root, 'checkout', '--quiet', 'autoresearch/nov21');
  const error = await record(await finished(place, 1, KEEP)).catch((caught: unknown) => caught);
  expect(error).toMatchObject({ name: 'BranchCheckedOut' });
  expect(String(error)).toMatch(`autoresearch/nov21 is checked out in ${place.root}`);
  expect(git(place.root, 'status', '--porcelain')).toBe('');
  expect(await readLedger(place.git, 'nov21')).toHaveLength(1);
});

test('a discard does not mind a checked-out branch', async () => {
  const place = await open();
  git(place.root, 'checkout', '--quiet', 'autoresearch/nov21');
  await expect(record(await finished(place, 1, DISCARD))).resolves.toMatchObject({ branch: place.base });
});

test('a branch that somebody moved is not moved back, and the message says how to', async () => {
  const place = await open();
  const input = await finished(place, 1, KEEP);
  const mine = git(place.root, 'commit-tree', '-p', place.base, '-m', 'mine', `${place.base}^{tree}`);
  git(place.root, 'update-ref', branchRef('nov21'), mine);
  await expect(record(input)).rejects.toThrow(/someone moved it.*git branch -f autoresearch\/nov21/);
  expect(branchOf(place)).toBe(mine);
  git(place.root, 'branch', '--quiet', '-f', 'autoresearch/nov21', input.commit);
  await expect(record(input)).resolves.toMatchObject({ branch: input.commit });
});

const range = (high: number): Knob => ({
  name: 'HEADS',
  file: 'train.py',
  type: 'int',
  low: 1,
  high,
  step: 1,
  log: false,
});
const many = (what: string): string[] => Array.from({ length: 40 }, (_, index) => `${what}${index}`);

test('what a repair brings is kept beside what came first: ideas, ranges, knobs; of a given up one nothing', async () => {
  const place = await open();
  const input = await finished(place, 1, KEEP);
  const edits = [{ path: 'train.py', content: 'print(1)\n' }];
  const answers: Pick<Proposal, 'ideas' | 'research' | 'gaveUp'>[] = [
    {
      ideas: ['the first idea', 'said twice'],
      research: makeResearch({ knobs: many('A'), ranges: [range(8)], meaning: '1-a' }),
    },
    {
      ideas: ['said twice', 'the idea of a repair'],
      research: makeResearch({ knobs: many('B'), ranges: [range(4)], meaning: '1-b' }),
    },
    { ideas: ['of one that was not tried'], research: makeResearch({ knobs: ['C'] }), gaveUp: 'no' },
  ];
  const proposals = await Promise.all(
    answers.map((answer, attempt) =>
      storeProposal(
        place.git,
        'nov22',
        1,
        { format: 1, title: 'x', hypothesis: '', edits, ...answer },
        attempt,
      ),
    ),
  );
  await record({ ...input, proposals, taken: { ...NOTHING_WAITS, ideas: ["a person's"] } });
  const [kept] = await readLedger(place.git, 'nov21');
  expect(kept?.ideas).toEqual([
    { id: '1.1', text: "a person's", from: 'human' },
    { id: '1.2', text: 'the first idea', from: 'researcher' },
    { id: '1.3', text: 'said twice', from: 'researcher' },
    { id: '1.4', text: 'the idea of a repair', from: 'researcher' },
  ]);
  expect(kept?.research).toMatchObject({ ranges: [range(4)], meaning: '1-b' });
  // A record has fifty at most.
  expect(kept?.research?.knobs).toEqual([...many('A').slice(-10), ...many('B')]);
});

test('a study without a ledger is a failure that no retry mends', async () => {
  const place = await open();
  const input = await finished(place, 1, KEEP);
  git(place.root, 'update-ref', '-d', ledgerRef('nov21'));
  await expect(record(input)).rejects.toMatchObject({ type: 'LedgerError', nonRetryable: true });
});

test('the hundredth record packs the lab’s objects, and loses none, not even what no ref holds', async () => {
  const place = await open();
  const lost = git(place.root, 'commit-tree', '-m', 'of no ref', `${place.base}^{tree}`);
  await record(await finished(place, 99, DISCARD));
  expect(git(place.root, 'cat-file', '-t', lost)).toBe('commit');
  expect(git(place.root, 'count-objects')).toMatch(/^0 objects/);
  expect(git(place.root, 'fsck', '--strict', '--no-dangling')).toBe('');
  const study: StudyConfig | null = await readStudy(place.git, 'nov21');
  expect(study).toEqual(place.study);
});

test('a run is compared with those of the commit that it builds on; the first has none', async () => {
  const place = await open();
  const first = await finished(place, 1, KEEP);
  const of = {
    study: place.study,
    run: 1,
    seed: 1,
    split: 'val',
    budget: { steps: 1 },
    device: 'cpu',
    class: first.class,
  } as const;
  expect(await comparableRuns({ ...of, number: 1, commit: first.commit })).toEqual({ own: [], parent: [] });
  await record(first);
  const { commit } = await finished(place, 2, DISCARD, first.commit);
  const { own, parent } = await comparableRuns({ ...of, number: 2, commit });
  expect(parent).toMatchObject(first.runs.map(({ seed, initialWeights }) => ({ seed, initialWeights })));
  expect(parent).toHaveLength(1);
  expect(own).toEqual([]);
});

test('caps follow the first run that has a score, and there is none before', async () => {
  const place = await open();
  expect(await baselineRun(place.study)).toBeNull();
  const crashed = await finished(place, 0, {
    verdict: 'crash',
    reason: 'error',
    score: null,
    detail: 'a crash',
  });
  await record({ ...crashed, runs: [{ ...crashed.runs[0]!, score: null }] });
  expect(await baselineRun(place.study)).toBeNull();
  const first = await finished(place, 1, KEEP, crashed.commit);
  await record(first);
  expect(await baselineRun(place.study)).toMatchObject({ score: first.runs[0]!.score, trainSeconds: 3 });
});
