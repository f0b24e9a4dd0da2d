import { createCheck } from '../../src/activities/check-proposal';
import type { ProposeInput } from '../../src/activities/interface';
import { keepCandidate, keepCrashed } from '../../src/ledger/commits';
import { readLabConfigAt } from '../../src/labs/lab';
import { applyEdits } from '../../src/labs/apply-edits';
import { UNLIMITED } from '../../src/domain/limits';
import { NOTHING_WAITS } from '../../src/domain/waiting';
import type { ExperimentRecord } from '../../src/domain/experiment';
import type { Edit } from '../../src/ledger/proposals';
import { makeLab, makeRecord, makeRun, makeStudy, temporary } from '../lab/make-lab';
import { makeResearch } from '../lab/research';

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
    keepCandidate(lab.git, {
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
  const look = (edits: Edit[], history: ExperimentRecord[] = [], change: Partial<ProposeInput> = {}) =>
    createCheck('python3', () => Promise.resolve(null))({ ...input, ...change }, config, history).look(
      edits,
      never,
    );
  return { ...lab, study, input, candidate, record, look };
}

test('what was tried is not tried again, in no other words, and the researcher is told how it went', async () => {
  const { record, look } = await place();
  const tried = await record(3, 'def f(x):\n    return x * 0.01\n', { title: 'a hundredth' });
  const again = await look(content('def f(value):  # smaller\n    return value * 1e-2\n'), [tried]);
  expect(again.objection).toMatchObject({ kind: 'repeat' });
  expect(again.objection?.message).toContain(
    'experiment 3 ("a hundredth"): discard, not better: 1.9 against 1.8',
  );
  const other = await look(content('def f(x):\n    return x * 0.02\n'), [tried]);
  expect(other).toMatchObject({ meaning: expect.stringMatching(/^1-/), objection: null });
  expect(other.meaning).not.toBe(again.meaning);
});

test('a record that has the hash needs no commit; one of an earlier scheme is read from its commit', async () => {
  const { record, look } = await place();
  const fresh = await look(content('WIDTH = 3\n'));
  const known = await record(1, 'WIDTH = 4\n', { research: makeResearch({ meaning: fresh.meaning }) });
  expect((await look(content('WIDTH = 3\n'), [known])).objection?.kind).toBe('repeat');
  const older = await record(2, 'WIDTH = 3\n', {
    research: makeResearch({ meaning: `0-${'a'.repeat(64)}` }),
  });
  expect((await look(content('WIDTH = 3\n'), [older])).objection?.kind).toBe('repeat');
});

test('what never ran, or was killed from outside, may be tried again; a crash may not', async () => {
  const { record, look } = await place();
  const crash: Partial<ExperimentRecord> = { verdict: 'crash', runs: [makeRun(null)] };
  const history = [
    await record(1, 'WIDTH = 3\n', { ...crash, reason: 'lost' }),
    await record(2, 'WIDTH = 4\n', { ...crash, reason: 'rejected', runs: [] }),
    await record(3, 'WIDTH = 5\n', { ...crash, reason: 'oom', detail: 'out of memory' }),
  ];
  expect((await look(content('WIDTH = 3\n'), history)).objection).toBeNull();
  expect((await look(content('WIDTH = 4\n'), history)).objection).toBeNull();
  expect((await look(content('WIDTH = 5\n'), history)).objection?.message).toContain('crash, out of memory');
});

test('what changes nothing that runs, does not parse or breaks a rule', async () => {
  const { git, base, look } = await place();
  const text = await git.text(['show', `${base}:train.py`]);
  expect((await look(content(`# a thought\n${text}\n`))).objection).toMatchObject({
    kind: 'repeat',
    message: expect.stringContaining('it is the incumbent'),
  });
  expect(await look(content('WIDTH = (\n'))).toMatchObject({
    meaning: null,
    objection: { kind: 'syntax', message: "train.py, line 1: '(' was never closed: WIDTH = (" },
  });
  expect((await look([{ path: 'score.py', content: '' }])).objection?.kind).toBe('edits');
});

test('data in an edit goes back to its researcher, with what is allowed', async () => {
  const { look } = await place();
  expect((await look(content(`ROWS = "${'0123456789'.repeat(900)}"\n`))).objection).toEqual({
    kind: 'data',
    message: expect.stringMatching(
      /hold 900\d bytes of strings and numbers .* caps\.literal_bytes allows 8192/,
    ),
  });
});

test('a repair is not what has crashed, in this attempt or an earlier one', async () => {
  const { git, study, candidate, record, look } = await place();
  const first = await candidate(9, 'WIDTH = first\n');
  await keepCrashed(git, study.tag, 9, 1, first);
  const second = await candidate(9, 'WIDTH = second\n');
  const failure = { reason: 'error', message: 'it failed', tail: '' } as const;
  const repair = { attempt: 2, commit: second, failure };
  for (const text of ['WIDTH = first\n', 'WIDTH = second  # the same\n']) {
    const { objection } = await look(content(text), [], { repair });
    expect(objection?.message).toContain('it is the candidate that has crashed');
  }
  expect((await look(content('WIDTH = 7\n'), [], { repair })).objection).toBeNull();
  const repaired = await record(4, 'WIDTH = 8\n', { repairs: [{ commit: first, failure }] });
  expect((await look(content('WIDTH = first\n'), [repaired])).objection?.message).toContain(
    'before it was repaired: error, it failed',
  );
});
