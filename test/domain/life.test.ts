/**
 * A study's whole life on paper: whatever people ask, whenever results come (late, twice, never), however often it is begun
 * again from the ledger, some things always hold. The loop is the workflow's, the ledger an array, time a list of steps.
 */
import * as fc from 'fast-check';
import type { ExperimentSummary, TrainBudget, Verdict } from '../../src/domain/experiment';
import { UNLIMITED, type Limits } from '../../src/domain/limits';
import {
  adjustLimits,
  adopt,
  finish,
  hint,
  holdToLimits,
  MAX_HINTS,
  newStudy,
  nextAction,
  nextNumber,
  pause,
  rebuild,
  RECENT,
  resume,
  spendHints,
  stop,
  type StudyState,
} from '../../src/domain/study';

type Ending = Pick<ExperimentSummary, 'verdict' | 'score' | 'gpuSeconds' | 'seconds' | 'dollars'>;

type Step =
  | { do: 'go' | 'trouble' | 'hint' | 'pause' | 'resume' | 'continue as new' | 'begin again' }
  | { do: 'end' | 'end unseen'; ending: Ending }
  | { do: 'late'; back: number }
  | { do: 'stop'; now: boolean }
  | { do: 'adjust'; limits: Partial<Limits> };

interface Running {
  number: number;
  hints: string[];
}

/** Gives away what it is given as Temporal does: as JSON. */
const carried = <T>(value: T): T => JSON.parse(JSON.stringify(value)) as T;

class Life {
  readonly ledger: ExperimentSummary[] = [];
  /** The finished experiments that each hint was given to. */
  readonly given = new Map<string, Set<number>>();
  /** Hints that waited when a study was begun again: they are not in the ledger. */
  readonly forgotten = new Set<string>();
  state: StudyState;
  /** How much of the ledger the workflow knows. */
  seen = 0;
  running: Running | null = null;
  wasStopped = false;
  private hints = 0;

  constructor(
    readonly budget: TrainBudget,
    readonly limits: Limits,
  ) {
    this.state = newStudy(limits);
  }

  take(step: Step): void {
    switch (step.do) {
      case 'go':
        return this.go();
      case 'end':
      case 'end unseen':
        return this.end(step.ending, step.do === 'end');
      case 'trouble':
        if (this.running === null) return;
        this.running = null;
        this.state = pause(this.state, { by: 'trouble', reason: 'it could not be done' });
        return;
      case 'late': {
        // What was finished before, once more: a retry, a second worker, a message that was long under way.
        const earlier = this.ledger[this.seen - 1 - step.back];
        if (earlier !== undefined) this.unchanged(() => finish(this.state, earlier));
        return;
      }
      case 'hint': {
        const text = `hint ${this.hints++}`;
        const waiting = this.state.hints.length;
        this.state = hint(this.state, text);
        if (waiting < MAX_HINTS) this.given.set(text, new Set());
        else expect(this.state.refused).toContain(String(MAX_HINTS));
        return;
      }
      case 'pause':
        this.state = pause(this.state, { by: 'user', reason: 'paused by request' });
        return;
      case 'resume':
        this.state = resume(this.state);
        return;
      case 'stop':
        this.wasStopped = true;
        this.state = stop(this.state, step.now);
        return;
      case 'adjust':
        this.state = adjustLimits(this.state, step.limits);
        return;
      case 'continue as new':
        if (this.running === null) this.open(carried(this.state));
        return;
      case 'begin again':
        // Stopped, terminated, or lost with its server: only the ledger is left.
        this.state.hints.forEach((text) => this.forgotten.add(text));
        this.running = null;
        this.wasStopped = false;
        this.open(newStudy(this.state.limits));
    }
  }

  private open(state: StudyState): void {
    const before = this.state;
    const isUpToDate = this.seen === this.ledger.length;
    this.state = carried(adopt(state, rebuild(this.limits, carried(this.ledger))));
    this.seen = this.ledger.length;
    const { limits, hints, paused, stopping, refused } = state;
    expect(this.state).toMatchObject({ limits, hints, paused, stopping, refused });
    // Where the workflow knew everything, nobody notices.
    if (isUpToDate && state !== before && state.spent.experiments > 0) expect(this.state).toEqual(before);
  }

  private go(): void {
    if (this.running !== null) return;
    this.state = holdToLimits(this.state, this.budget);
    if (nextAction(this.state) !== 'experiment') return;
    expect(this.wasStopped).toBe(false);
    expect(this.state.paused).toBeNull();
    const { limits, spent, hints } = this.state;
    const next = 'seconds' in this.budget ? this.budget.seconds : 0;
    expect(spent.experiments + 1).toBeLessThanOrEqual(limits.experiments ?? Infinity);
    expect(spent.gpuSeconds + next).toBeLessThanOrEqual((limits.gpuHours ?? Infinity) * 3600);
    expect(spent.seconds).toBeLessThan((limits.hours ?? Infinity) * 3600);
    this.running = { number: nextNumber(this.state), hints };
  }

  private end(ending: Ending, isSeen: boolean): void {
    if (this.running === null) return;
    const { number, hints } = this.running;
    this.running = null;
    // The record that was there first counts, as `record` has it.
    const earlier = this.ledger[number];
    const done = earlier ?? summary(number, ending);
    if (earlier === undefined) this.ledger.push(done);
    if (!isSeen) {
      this.state = pause(this.state, { by: 'trouble', reason: 'its end was not heard of' });
      return;
    }
    for (const text of hints) this.give(text, number);
    this.state = spendHints(finish(this.state, carried(done)), hints.length);
    this.seen = number + 1;
    this.unchanged(() => finish(this.state, carried(done)));
  }

  /** To one finished experiment and no other. */
  private give(text: string, number: number): void {
    const experiments = this.given.get(text)!;
    experiments.add(number);
    expect([text, ...experiments]).toEqual([text, number]);
  }

  private unchanged(change: () => StudyState): void {
    expect(change()).toBe(this.state);
  }

  /** What holds whatever has happened. */
  check(): void {
    const { state } = this;
    const known = this.ledger.slice(0, this.seen);
    expect(this.ledger.map(({ number }) => number)).toEqual([...this.ledger.keys()]);
    expect(nextNumber(state)).toBe(known.length);
    expect(state.recent).toEqual(known.slice(-RECENT));
    expect([state.kept, state.discarded, state.crashed]).toEqual(
      (['keep', 'discard', 'crash'] as const).map(
        (verdict) => known.filter((done) => done.verdict === verdict).length,
      ),
    );
    for (const key of ['gpuSeconds', 'seconds', 'dollars'] as const)
      expect(state.spent[key]).toBeCloseTo(known.reduce((sum, done) => sum + done[key], 0));
    const incumbent = known.findLast(({ verdict, number }) => verdict === 'keep' || number === 0);
    expect(state.incumbent?.experiment).toBe(incumbent?.number);
    expect(state.incumbent?.commit).toBe(incumbent?.commit);
    expect(state.baselineScore).toBe(known[0]?.score ?? null);
    expect(state.stopping !== null).toBe(this.wasStopped);
    expect(state.hints.length).toBeLessThanOrEqual(MAX_HINTS);
    // Everything but what people ask for follows from the ledger.
    expect(adopt(state, rebuild(this.limits, known))).toEqual(state);
    for (const [text, experiments] of this.given) {
      const isAnywhere = state.hints.includes(text) || experiments.size > 0 || this.forgotten.has(text);
      expect([text, isAnywhere]).toEqual([text, true]);
    }
  }
}

function summary(number: number, ending: Ending): ExperimentSummary {
  const verdict: Verdict = number === 0 && ending.verdict === 'discard' ? 'keep' : ending.verdict;
  return {
    ...ending,
    number,
    verdict,
    score: verdict === 'crash' ? null : ending.score,
    commit: number.toString(16).padStart(40, '0'),
    reason: verdict === 'keep' ? 'better' : verdict === 'discard' ? 'not-better' : 'oom',
    title: `experiment ${number}`,
  };
}

const endings: fc.Arbitrary<Ending> = fc.record({
  verdict: fc.constantFrom<Verdict>('keep', 'discard', 'discard', 'crash'),
  score: fc.double({ min: 0.5, max: 3, noNaN: true }),
  gpuSeconds: fc.nat(4000),
  seconds: fc.nat(8000),
  dollars: fc.integer({ min: 0, max: 300 }).map((cents) => cents / 100),
});

const limits = fc.record({
  experiments: fc.option(fc.integer({ min: 1, max: 40 })),
  gpuHours: fc.option(fc.double({ min: 0.01, max: 20, noNaN: true })),
  hours: fc.option(fc.double({ min: 0.01, max: 40, noNaN: true })),
});

const plain = (
  ...names: ('go' | 'trouble' | 'hint' | 'pause' | 'resume' | 'continue as new' | 'begin again')[]
) => fc.constantFrom(...names).map((name): Step => ({ do: name }));

const steps: fc.Arbitrary<Step> = fc.oneof(
  { weight: 10, arbitrary: plain('go') },
  { weight: 10, arbitrary: endings.map((ending): Step => ({ do: 'end', ending })) },
  { weight: 1, arbitrary: endings.map((ending): Step => ({ do: 'end unseen', ending })) },
  { weight: 4, arbitrary: plain('hint', 'resume') },
  { weight: 3, arbitrary: plain('trouble', 'pause', 'continue as new', 'begin again') },
  { weight: 2, arbitrary: fc.nat(60).map((back): Step => ({ do: 'late', back })) },
  {
    weight: 2,
    arbitrary: fc.subarray(['experiments', 'gpuHours', 'hours'] as const).chain((keys) =>
      limits.map((all): Step => ({
        do: 'adjust',
        limits: Object.fromEntries(keys.map((key) => [key, all[key]])),
      })),
    ),
  },
  { weight: 1, arbitrary: fc.boolean().map((now): Step => ({ do: 'stop', now })) },
);

const budgets = fc.oneof(
  fc.record({ seconds: fc.integer({ min: 1, max: 3600 }) }),
  fc.record({ steps: fc.integer({ min: 1, max: 1000 }) }),
);

test('whatever happens in whatever order: no gap, no double, no limit passed, no hint lost', () => {
  fc.assert(
    fc.property(budgets, limits, fc.array(steps, { maxLength: 150, size: 'max' }), (budget, first, all) => {
      const life = new Life(budget, first);
      for (const step of all) {
        life.take(step);
        life.check();
      }
    }),
    { numRuns: 100 },
  );
});

test('a study without limits that nobody stops goes on, whatever went wrong before', () => {
  fc.assert(
    fc.property(budgets, fc.array(steps, { maxLength: 200, size: 'max' }), endings, (budget, all, ending) => {
      const life = new Life(budget, UNLIMITED);
      for (const step of all) life.take(step);
      if (life.wasStopped) life.take({ do: 'begin again' });
      if (life.running !== null) life.take({ do: 'end', ending });
      life.take({ do: 'resume' });
      life.take({ do: 'adjust', limits: UNLIMITED });
      const before = life.ledger.length;
      for (let nth = 0; nth < 4; nth++) {
        life.take({ do: 'resume' });
        life.take({ do: 'go' });
        life.take({ do: 'end', ending: { ...ending, verdict: 'discard' } });
      }
      life.check();
      expect(life.ledger.length).toBeGreaterThanOrEqual(before + 3);
    }),
    { numRuns: 50 },
  );
});
