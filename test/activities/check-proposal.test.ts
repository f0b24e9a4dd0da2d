import { createCheck } from '../../src/activities/check-proposal';
import type { ProposeInput } from '../../src/activities/interface';
import { storeCandidate, storeCrashed } from '../../src/ledger/commits';
import { readLabConfigAt } from '../../src/labs/lab';
import { applyEdits } from '../../src/labs/apply-edits';
import { UNLIMITED } from '../../src/domain/limits';
import { NOTHING_WAITS } from '../../src/domain/waiting';
import type { ExperimentRecord } from '../../src/domain/experiment';
import type { Edit } from '../../src/ledger/proposals';
import { makeLab, makeRecord, makeRun, makeStudy, temporary } from '../labs/make-lab';
import { makeResearch } from '../ledger/research';

const never = new AbortController().signal;
const AT = '2026-11-21T01:00:00.000Z';
const callersState = process.env['XDG_STATE_HOME'];
beforeAll(() => (process.env['XDG_STATE_HOME'] = temporary('state')));
afterAll(() => {
  if (callersState === undefined) delete process.env['XDG_STATE_HOME'];
  else process.env['XDG_STATE_HOME'] = callersState;
});

const content = (text: string): Edit[] => [{ path: 'train.py', content: text }];

async function place() {
  const lab = makeLab();
  const study = makeStudy(lab.root, lab.base);
  const config = await readLabConfigAt(lab.git, lab.base);
  const input: ProposeInput = {
    study,
    number: 9,
    incumbent: lab.base,
    waiting: NOTHING_WAITS,
    left: UNLIMITED,
    repair: null,
  };
  const candidate = async (number: number, text: string): Promise<string> =>
    storeCandidate(lab.git, {
      tag: study.tag,
      number,
      incumbent: lab.base,
      tree: await applyEdits(lab.git, lab.base, content(text), config),
      title: 'tried',
      hypothesis: '',
      rejected: null,
      at: AT,
    });
  const record = async (number: number, text: string, change: Partial<ExperimentRecord> = {}) =>
    makeRecord(study, number, {
      commit: await candidate(number, text),
      verdict: 'discard',
      detail: 'not better: 1.9 against 1.8',
      runs: [makeRun(1.9)],
      ...change,
    });
  const inspect = (edits: Edit[], history: ExperimentRecord[] = [], change: Partial<ProposeInput> = {}) =>
    createCheck('python3', () => Promise.resolve(null))({ ...input, ...change }, config, history).inspect(
      edits,
      never,
    );
  return { ...lab, study, input, candidate, record, inspect };
}

test('code that was tried is refused, also with other local names, and the objection has its result', async () => {
  const { record, inspect } = await place();
  const tried = await record(3, 'def f(x):\n    return x * 0.01\n', { title: 'a hundredth' });
  const again = await inspect(content('def f(value):  # smaller\n    return value * 1e-2\n'), [tried]);
  expect(again.objection).toMatchObject({ kind: 'repeat' });
  expect(again.objection?.message).toContain(
    'experiment 3 ("a hundredth"): discard, not better: 1.9 against 1.8',
  );
  const other = await inspect(content('def f(x):\n    return x * 0.02\n'), [tried]);
  expect(other).toMatchObject({ astHash: expect.stringMatching(/^2-/), objection: null });
  expect(other.astHash).not.toBe(again.astHash);
});

test('a hash in the record saves reading its commit; a hash of another scheme is not used', async () => {
  const { record, inspect } = await place();
  const fresh = await inspect(content('WIDTH = 3\n'));
  const known = await record(1, 'WIDTH = 4\n', { research: makeResearch({ meaning: fresh.astHash }) });
  expect((await inspect(content('WIDTH = 3\n'), [known])).objection?.kind).toBe('repeat');
  const older = await record(2, 'WIDTH = 3\n', {
    research: makeResearch({ meaning: `0-${'a'.repeat(64)}` }),
  });
  expect((await inspect(content('WIDTH = 3\n'), [older])).objection?.kind).toBe('repeat');
});

test('a candidate that never ran or was killed from outside may be tried again; a crash may not', async () => {
  const { record, inspect } = await place();
  const crash: Partial<ExperimentRecord> = { verdict: 'crash', runs: [makeRun(null)] };
  const history = [
    await record(1, 'WIDTH = 3\n', { ...crash, reason: 'lost' }),
    await record(2, 'WIDTH = 4\n', { ...crash, reason: 'rejected', runs: [] }),
    await record(3, 'WIDTH = 5\n', { ...crash, reason: 'oom', detail: 'out of memory' }),
  ];
  expect((await inspect(content('WIDTH = 3\n'), history)).objection).toBeNull();
  expect((await inspect(content('WIDTH = 4\n'), history)).objection).toBeNull();
  expect((await inspect(content('WIDTH = 5\n'), history)).objection?.message).toContain(
    'crash, out of memory',
  );
});

test('a change without effect, one that does not parse and one that breaks a rule are refused', async () => {
  const { git, base, inspect } = await place();
  const text = await git.text(['show', `${base}:train.py`]);
  expect((await inspect(content(`# a thought\n${text}\n`))).objection).toMatchObject({
    kind: 'repeat',
    message: expect.stringContaining("the code is the incumbent's"),
  });
  expect(await inspect(content('WIDTH = (\n'))).toMatchObject({
    astHash: null,
    objection: { kind: 'syntax', message: "train.py, line 1: '(' was never closed: WIDTH = (" },
  });
  expect((await inspect([{ path: 'score.py', content: '' }])).objection?.kind).toBe('edits');
});

test('an edit with too much data is refused, with the limit', async () => {
  const { inspect } = await place();
  expect((await inspect(content(`ROWS = "${'0123456789'.repeat(900)}"\n`))).objection).toEqual({
    kind: 'data',
    message: expect.stringMatching(
      /hold 900\d bytes of strings and numbers .* caps\.literal_bytes allows 8192/,
    ),
  });
});

test('a repair may not be a candidate that has crashed before', async () => {
  const { git, study, candidate, record, inspect } = await place();
  const first = await candidate(9, 'WIDTH = first\n');
  await storeCrashed(git, study.tag, 9, 1, first);
  const second = await candidate(9, 'WIDTH = second\n');
  const failure = { reason: 'error', message: 'it failed', tail: '' } as const;
  const repair = { attempt: 2, commit: second, failure };
  for (const text of ['WIDTH = first\n', 'WIDTH = second  # the same\n']) {
    const { objection } = await inspect(content(text), [], { repair });
    expect(objection?.message).toContain('the code is that of the crashed candidate');
  }
  expect((await inspect(content('WIDTH = 7\n'), [], { repair })).objection).toBeNull();
  const repaired = await record(4, 'WIDTH = 8\n', { repairs: [{ commit: first, failure }] });
  expect((await inspect(content('WIDTH = first\n'), [repaired])).objection?.message).toContain(
    'before it was repaired: error, it failed',
  );
});
