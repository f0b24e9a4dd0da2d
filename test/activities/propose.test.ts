import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { MockActivityEnvironment } from '@temporalio/testing';
import { createApply } from '../../src/activities/apply';
import { createCheck } from '../../src/activities/check-proposal';
import type { ProposeInput, Proposed } from '../../src/activities/interface';
import { createPropose } from '../../src/activities/propose';
import { createRecord } from '../../src/activities/record';
import { UNLIMITED } from '../../src/domain/limits';
import type { StudyConfig } from '../../src/domain/study';
import { NOTHING_WAITS } from '../../src/domain/waiting';
import { readProposal, type Proposal } from '../../src/ledger/proposals';
import { appendRecord, openLedger, readRecord } from '../../src/ledger/ledger';
import { baseRef, crashedRef, experimentRef } from '../../src/ledger/refs';
import { verifyStudy } from '../../src/ledger/verify/verify';
import { BudgetExhausted } from '../../src/researchers/spend-guard';
import { GivenUp, NoProposal, type ResearchContext } from '../../src/researchers/researcher';
import { git, makeLab, makeRecord, makeRun, makeStudy, temporary } from '../labs/make-lab';
import { makeResearch } from '../ledger/research';

const AT = '2026-11-21T01:00:00.000Z';
const callersState = process.env['XDG_STATE_HOME'];
beforeAll(() => (process.env['XDG_STATE_HOME'] = temporary('state')));
afterAll(() => {
  if (callersState === undefined) delete process.env['XDG_STATE_HOME'];
  else process.env['XDG_STATE_HOME'] = callersState;
});

async function place(change: Partial<StudyConfig> = {}) {
  const lab = makeLab();
  const study = { ...makeStudy(lab.root, lab.base), ...change };
  await openLedger(lab.git, study);
  const input: ProposeInput = {
    study,
    number: 1,
    incumbent: lab.base,
    waiting: NOTHING_WAITS,
    left: UNLIMITED,
    repair: null,
  };
  return { ...lab, study, input };
}

type Ask = (context: ResearchContext, signal: AbortSignal) => Promise<Proposal>;

/** Runs the activity in the environment that a worker gives it. */
function propose(
  input: ProposeInput,
  ask: Ask,
  { attempt = 1, longestMs }: { attempt?: number; longestMs?: number } = {},
): Promise<Proposed> {
  const activity = createPropose({
    researcher: () => ({ propose: ask }),
    check: createCheck('python3', () => Promise.resolve(null)),
    python: 'python3',
    ...(longestMs !== undefined && { longestMs }),
  });
  return new MockActivityEnvironment({ attempt }).run(activity, input) as Promise<Proposed>;
}

const wider = (content = `WIDTH = "${randomUUID()}"\n`): Proposal => ({
  format: 1,
  title: 'wider',
  hypothesis: 'more room',
  edits: [{ path: 'train.py', content }],
});

test('a proposal in git is the answer, and later hints wait', async () => {
  const { input } = await place();
  const waiting = { hints: ['try more'], ideas: ['mine'], droppedIdeas: [] };
  const first = await propose({ ...input, waiting }, async ({ hints }) => ({
    ...wider(),
    research: makeResearch({ hints: [...hints] }),
  }));
  expect(first).toMatchObject({ title: 'wider', taken: waiting, gaveUp: null });
  const later = { ...waiting, hints: ['try more', 'no, less'] };
  const again = await propose({ ...input, waiting: later }, () => Promise.reject(new Error('asked twice')));
  expect(again).toMatchObject({ proposal: first.proposal, taken: { hints: ['try more'] } });
});

test('after three answers without a proposal, that is recorded', async () => {
  const { git: repository, study, input } = await place();
  let asked = 0;
  const proposed = await propose(input, async ({ spendGuard }) => {
    asked += 1;
    await spendGuard.spend(0.2, async (settle) => settle(0.1));
    throw new NoProposal(`no idea ${asked}`);
  });
  expect(asked).toBe(3);
  expect(proposed).toMatchObject({ gaveUp: 'no idea 1; no idea 2; no idea 3' });
  expect(proposed.dollars).toBeCloseTo(0.3);
  const { commit, failure } = await createApply()({
    study,
    number: 1,
    incumbent: input.incumbent,
    proposal: proposed.proposal,
    repair: null,
    at: AT,
  });
  expect(failure).toMatchObject({ reason: 'no-proposal', message: 'no idea 1; no idea 2; no idea 3' });
  expect(await repository.text(['diff', '--stat', input.incumbent, commit])).toBe('');
});

const refusing: Ask = () => Promise.reject(new NoProposal('it refused'));

test('without a proposal the hints wait; from the third time on the oldest is dropped', async () => {
  const { git: repository, study, input } = await place();
  const waiting = { hints: ['do what no model does', 'try more'], ideas: ['mine'], droppedIdeas: [] };
  const heard: string[][] = [];
  for (const number of [1, 2, 3, 4]) {
    const { taken } = await propose({ ...input, number, waiting }, refusing);
    expect(taken).toMatchObject({ ideas: ['mine'] });
    heard.push(taken.hints);
    const failed = { verdict: 'crash', reason: 'no-proposal', commit: input.incumbent } as const;
    if (number === 1)
      await appendRecord(repository, study, makeRecord(study, 0, { commit: input.incumbent }));
    await appendRecord(repository, study, makeRecord(study, number, failed));
  }
  expect(heard).toEqual([[], [], ['do what no model does'], ['do what no model does']]);
});

test('a repeat is refused with the reason; the record has the AST hash of the accepted change', async () => {
  const { git: repository, input } = await place();
  const answers = ['# the incumbent\n', '# again\n', 'WIDTH = 3\n'];
  const seen: string[][] = [];
  const before = await repository.text(['show', `${input.incumbent}:train.py`]);
  const proposed = await propose(input, async ({ refused, spendGuard }) => {
    seen.push(refused.map(({ kind }) => kind));
    await spendGuard.spend(0.5, async (settle) => settle(0.25));
    const content = answers[refused.length] ?? '';
    return wider(refused.length < 2 ? `${before}\n${content}` : content);
  });
  expect(seen).toEqual([[], ['repeat'], ['repeat', 'repeat']]);
  // The refused proposals cost money too.
  expect(proposed).toMatchObject({ gaveUp: null, dollars: 0.75 });
  const { research } = await readProposal(repository, proposed.proposal);
  expect(research?.meaning).toMatch(/^2-[0-9a-f]{64}$/);
});

test('any answer after a paid call is recorded, cut or given up with the reason, and paid once', async () => {
  const text = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 30 }),
    fc
      .tuple(fc.constantFrom('x', '\ud800', '\n', '😀'), fc.nat(9000))
      .map(([unit, length]) => unit.repeat(length)),
  );
  const number = fc.oneof(
    fc.double(),
    fc.constantFrom(-1, 0.5, 2 ** 60, Number.NaN, Number.POSITIVE_INFINITY, 3),
  );
  const usage = fc.record({
    model: text,
    calls: number,
    input: number,
    cacheWrite: number,
    cacheWriteHour: number,
    cacheRead: number,
    output: number,
  });
  const paths = fc.oneof(fc.constantFrom('train.py', '../x', ''), text);
  const edits = fc.oneof(
    fc.constant<{ path: string; content: string }[]>([{ path: 'train.py', content: 'WIDTH = 5\n' }]),
    fc.array(fc.record({ path: paths, content: text }), { minLength: 1, maxLength: 3 }),
    fc.constant(Array.from({ length: 300 }, (_, index) => ({ path: `f${index}.py`, content: '' }))),
  );
  const answer = fc.record({
    title: text,
    hypothesis: text,
    edits,
    ideas: fc.array(text, { maxLength: 30 }),
    usage: fc.oneof(usage, fc.constant(null)),
    expected: text,
    lessons: fc.oneof(fc.array(text, { maxLength: 60 }), fc.constant(null)),
    knobs: fc.array(text, { maxLength: 60 }),
  });
  await fc.assert(
    fc.asyncProperty(answer, async ({ title, hypothesis, edits: given, ideas, ...noted }) => {
      const { git: repository, input } = await place();
      let paid = 0;
      const proposed = await propose(input, async ({ spendGuard }) => {
        await spendGuard.spend(0.25, async (settle) => settle(0.25));
        paid += 0.25;
        return { format: 1, title, hypothesis, edits: given, ideas, research: makeResearch(noted) };
      });
      // Asked again after an objection, three times at most.
      expect(paid).toBeLessThanOrEqual(0.75);
      expect(proposed.dollars).toBe(paid);
      expect((await readProposal(repository, proposed.proposal)).dollars).toBe(paid);
    }),
    { numRuns: 25 },
  );
}, 120_000);

test('an objection goes back to the researcher', async () => {
  const { input } = await place();
  const seen: string[] = [];
  await propose(input, ({ refused }) => {
    seen.push(refused.map(({ message }) => message).join());
    const error = new NoProposal('it changed the scorer');
    if (refused.length === 0) error.objection = { kind: 'edits', message: 'score.py was changed' };
    return refused.length === 0 ? Promise.reject(error) : Promise.resolve(wider('DEPTH = 9\n'));
  });
  expect(seen).toEqual(['', 'score.py was changed']);
});

test("a call that a worker's death cut off counts as spent", async () => {
  const { input } = await place();
  const limited = { ...input, left: { ...UNLIMITED, dollars: 1 } };
  const dying = propose(limited, ({ spendGuard }) =>
    spendGuard.spend(0.8, () => Promise.reject(new Error('killed'))),
  );
  await expect(dying).rejects.toThrow('killed');
  const next = propose(limited, ({ spendGuard }) => spendGuard.spend(0.3, () => Promise.resolve(wider())));
  await expect(next).rejects.toMatchObject({
    type: 'BudgetExhausted',
    nonRetryable: true,
    message: "dollars limit: the next call may cost $0.30, but only $0.20 of the study's dollars is left",
  });
  expect(await propose(limited, () => Promise.resolve(wider()))).toMatchObject({ dollars: 0.8 });
});

/** Fails with a host error after spending so many dollars. */
const failing =
  (dollars: number): Ask =>
  async ({ spendGuard }) => {
    if (dollars > 0) await spendGuard.spend(dollars, async (settle) => settle(dollars));
    throw new RangeError('no space left');
  };

test('an experiment whose proposal takes too long ends without one', async () => {
  const { input } = await place();
  let asked = 0;
  const slow: Ask = async ({ spendGuard }, signal) => {
    asked += 1;
    await spendGuard.spend(0.1, async (settle) => settle(0.1));
    if (!signal.aborted) await once(signal, 'abort');
    throw new Error('ended');
  };
  expect(await propose(input, slow, { longestMs: 6_000 })).toMatchObject({
    gaveUp: 'the proposal took more than 0.1 minutes',
    dollars: 0.1,
  });
  expect(asked).toBe(1);
});

test('host errors after a paid answer are not retried each minute', async () => {
  const { input } = await place();
  for (const [attempt, minutes] of [
    [1, 1],
    [3, 4],
    [20, 15],
  ] as const) {
    await expect(propose(input, failing(0.1), { attempt })).rejects.toMatchObject({
      type: 'RangeError',
      message: 'no space left',
      nonRetryable: false,
      nextRetryDelay: minutes * 60_000,
    });
  }
  // A failure that cost nothing is retried at the usual pace.
  await expect(propose(input, failing(0), { attempt: 20 })).rejects.toBeInstanceOf(RangeError);
});

test('the context has the current program.md, the backlog with new ideas, lessons and the plateau', async () => {
  const { root, git: repository, study, input } = await place({ plateauAfter: 2 });
  const research = makeResearch({ lessons: ['wider is worse'] });
  const idea = { id: '0.1', text: 'an old idea', from: 'human' as const };
  const dropped = { id: '0.2', text: 'a bad idea', from: 'human' as const };
  for (const number of [0, 1, 2]) {
    const change = number === 0 ? { ideas: [idea, dropped] } : { verdict: 'discard' as const, research };
    await appendRecord(repository, study, makeRecord(study, number, { commit: input.incumbent, ...change }));
  }
  writeFileSync(join(root, 'program.md'), 'edited while it runs');
  const waiting = { hints: [], ideas: ['a new idea'], droppedIdeas: ['0.2'] };
  let seen: ResearchContext | null = null;
  await propose({ ...input, number: 3, waiting }, async (context) => {
    seen = context;
    return wider();
  });
  expect(seen).toMatchObject({
    program: 'edited while it runs',
    budget: study.budget,
    ideas: [idea, { id: '3.1', text: 'a new idea', from: 'human' }],
    lessons: ['wider is worse'],
    plateau: { since: 2, approach: 'combine' },
  });
});

test("a repair edits the crashed candidate's files and has its title, and git has both candidates", async () => {
  const { root, git: repository, study, input } = await place({ repairs: 2 });
  const waiting = { hints: ['heard', 'not heard'], ideas: [], droppedIdeas: [] };
  const first = await propose({ ...input, waiting }, async () => ({
    ...wider('WIDTH = broken\n'),
    research: makeResearch({ hints: ['heard'] }),
  }));
  expect(first.taken.hints).toEqual(['heard']);
  const change = { study, number: 1, incumbent: input.incumbent, at: AT };
  const crashed = await createApply()({ ...change, proposal: first.proposal, repair: null });
  const failure = { reason: 'error', message: "name 'broken' is not defined", tail: 'Traceback …' } as const;
  const repair = { attempt: 1, commit: crashed.commit, failure };
  const fixed = await propose({ ...input, waiting, repair }, async (context) => {
    expect(context.hints).toEqual(['heard']);
    expect(context.repair).toMatchObject({
      attempt: 1,
      of: 2,
      files: { 'train.py': 'WIDTH = broken\n' },
      title: 'wider',
      failure,
    });
    return {
      ...wider(),
      title: 'a name that is not kept',
      edits: [{ path: 'train.py', search: 'broken', replace: '2' }],
    };
  });
  expect(fixed.title).toBe('wider');
  const repaired = await createApply()({ ...change, proposal: fixed.proposal, repair });
  // A retry has the same result.
  expect(await createApply()({ ...change, proposal: fixed.proposal, repair })).toEqual(repaired);
  expect(await repository.text(['show', `${repaired.commit}:train.py`])).toBe('WIDTH = 2');
  expect(git(root, 'rev-parse', `${repaired.commit}^`)).toBe(input.incumbent);
  expect(git(root, 'rev-parse', crashedRef(study.tag, 1, 1))).toBe(crashed.commit);
  expect(git(root, 'rev-parse', experimentRef(study.tag, 1))).toBe(repaired.commit);

  await createRecord({ cleanUp: () => Promise.resolve() })({
    study,
    number: 1,
    commit: repaired.commit,
    incumbent: { commit: input.incumbent, experiment: 0, score: 2, scores: [2] },
    proposals: [first.proposal, fixed.proposal],
    taken: NOTHING_WAITS,
    decision: { verdict: 'discard', reason: 'not-better', score: 2.1, detail: 'not better' },
    failure: null,
    runs: [makeRun(null), makeRun(2.1)],
    repairs: [{ commit: crashed.commit, failure }],
    startedAt: AT,
    finishedAt: AT,
    dollars: 0,
    seal: 'graph',
    class: { device: 'cpu', torch: '2.15', lab: 'lab', data: 'data' },
    limits: UNLIMITED,
  });
  expect(await readRecord(repository, study.tag, 1)).toMatchObject({ title: 'wider', score: 2.1 });
  const { differences } = await verifyStudy(repository, study.tag);
  expect(differences.filter(({ about }) => about === 'refs').map(({ what }) => what)).toEqual([
    expect.stringContaining('/base is missing'),
  ]);
  git(root, 'update-ref', '-d', crashedRef(study.tag, 1, 1));
  const damaged = await verifyStudy(repository, study.tag);
  expect(damaged.differences.map(({ what }) => what)).toContainEqual(
    expect.stringContaining(`${crashedRef(study.tag, 1, 1)} is missing`),
  );
});

test('a title cut inside a character is the same in git, the record and the proposal', async () => {
  const { git: repository, study, input } = await place();
  await repository.moveRef(baseRef(study.tag), study.base, null);
  const { proposal, title } = await propose(input, async () => ({
    ...wider(),
    title: `${'x'.repeat(118)}\ud83d…`,
    hypothesis: 'half a rocket: \ude80',
  }));
  const change = { study, number: 1, incumbent: input.incumbent, proposal, repair: null };
  const { commit } = await createApply()({ ...change, at: AT });
  expect(await createApply()({ ...change, at: '2026-11-21T02:00:00.000Z' })).toMatchObject({ commit });
  expect(git(input.study.lab, 'show', '-s', '--format=%s', commit)).toBe(title);
  const { hypothesis } = await readProposal(repository, proposal);
  // A record with half a character, as older ledgers may have.
  const record = makeRecord(study, 1, { commit, title: `${'x'.repeat(118)}\ud83d…`, hypothesis, runs: [] });
  await appendRecord(repository, study, record);
  expect(await readRecord(repository, study.tag, 1)).toMatchObject({ title, hypothesis });
  const { differences } = await verifyStudy(repository, study.tag);
  expect(differences.filter(({ experiment }) => experiment === 1)).toEqual([]);
});

test('a repair that its researcher gives up is not asked for again', async () => {
  const { git: repository, input } = await place({ repairs: 2 });
  const { proposal } = await propose(input, () => Promise.resolve(wider()));
  const failure = { reason: 'error' as const, message: 'NameError', tail: '' };
  const { commit } = await createApply()({ ...input, proposal, at: AT });
  let asked = 0;
  const given = await propose({ ...input, repair: { attempt: 1, commit, failure } }, () => {
    asked += 1;
    return Promise.reject(new GivenUp('the idea is wrong'));
  });
  expect(asked).toBe(1);
  expect(given).toMatchObject({ gaveUp: 'the idea is wrong', title: 'wider' });
  expect((await readProposal(repository, given.proposal)).edits).toEqual([]);
});

test('without money a crash is not repaired', async () => {
  const { input, study } = await place({ repairs: 1 });
  await propose(input, () => Promise.resolve(wider()));
  const failure = { reason: 'error', message: 'it failed', tail: '' } as const;
  const repair = { attempt: 1, commit: input.incumbent, failure };
  const answer = await propose({ ...input, repair }, () => Promise.reject(new BudgetExhausted('no money')));
  expect(answer).toMatchObject({ gaveUp: 'no money', title: 'wider' });
  expect(study.repairs).toBe(1);
});
