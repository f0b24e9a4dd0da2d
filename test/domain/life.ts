/**
 * A study's whole life on paper: whatever people ask, whenever results come (late, twice, never), however often it is begun
 * again from the ledger, some things always hold. The loop is the workflow's, the ledger an array, time a list of steps.
 */
import assert from 'node:assert/strict';
import type { ExperimentSummary, TrainBudget, Verdict } from '../../src/domain/experiment';
import type { Limits } from '../../src/domain/limits';
import {
  adjustLimits,
  adopt,
  finish,
  hint,
  holdToLimits,
  MAX_WAITING,
  newStudy,
  nextAction,
  nextNumber,
  pause,
  rebuild,
  RECENT,
  resume,
  stop,
  takeIn,
  type StudyState,
} from '../../src/domain/study';
import type { Waiting } from '../../src/domain/waiting';

export type Ending = Pick<ExperimentSummary, 'verdict' | 'score' | 'gpuSeconds' | 'seconds' | 'dollars'>;

export type Step =
  | { do: 'go' | 'trouble' | 'hint' | 'pause' | 'resume' | 'continue as new' | 'begin again' }
  | { do: 'end' | 'end unseen'; ending: Ending }
  | { do: 'late'; back: number }
  | { do: 'stop'; now: boolean }
  | { do: 'adjust'; limits: Partial<Limits> };

interface Running {
  number: number;
  waiting: Waiting;
}

/** Gives away what it is given as Temporal does: as JSON. */
const carried = <T>(value: T): T => JSON.parse(JSON.stringify(value)) as T;

const askedOf = ({ limits, waiting, paused, stopping, refused }: StudyState) => ({
  limits,
  waiting,
  paused,
  stopping,
  refused,
});

export class Life {
  readonly ledger: ExperimentSummary[] = [];
  /** The finished experiments that each hint was given to. */
  readonly given = new Map<string, Set<number>>();
  /** Hints that waited when a study was begun again: they are not in the ledger. */
  readonly forgotten = new Set<string>();
  readonly limits: Limits;
  state: StudyState;
  /** How much of the ledger the workflow knows. */
  seen = 0;
  running: Running | null = null;
  wasStopped = false;
  private hints = 0;

  constructor(
    readonly budget: TrainBudget,
    limits: Limits,
  ) {
    this.limits = carried(limits);
    this.state = newStudy(this.limits);
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
        const waiting = this.state.waiting.hints.length;
        this.state = hint(this.state, text);
        if (waiting < MAX_WAITING) this.given.set(text, new Set());
        else assert.match(this.state.refused ?? '', new RegExp(`${MAX_WAITING} of these wait`));
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
        this.state.waiting.hints.forEach((text) => this.forgotten.add(text));
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
    assert.deepEqual(askedOf(this.state), askedOf(state));
    // Where the workflow knew everything, nobody notices.
    if (isUpToDate && state !== before && state.spent.experiments > 0) assert.deepEqual(this.state, before);
  }

  private go(): void {
    if (this.running !== null) return;
    this.state = holdToLimits(this.state, { budget: this.budget, gpuHourDollars: 0 });
    if (nextAction(this.state) !== 'experiment') return;
    assert.equal(this.wasStopped, false);
    assert.equal(this.state.paused, null);
    const { limits, spent, waiting } = this.state;
    const next = 'seconds' in this.budget ? this.budget.seconds : 0;
    assert.ok(spent.experiments + 1 <= (limits.experiments ?? Infinity));
    assert.ok(spent.gpuSeconds + next <= (limits.gpuHours ?? Infinity) * 3600);
    assert.ok(spent.seconds < (limits.hours ?? Infinity) * 3600);
    assert.ok(spent.dollars < (limits.dollars ?? Infinity));
    this.running = { number: nextNumber(this.state), waiting };
  }

  private end(ending: Ending, isSeen: boolean): void {
    if (this.running === null) return;
    const { number, waiting } = this.running;
    this.running = null;
    // The record that was there first counts, as `record` has it.
    const earlier = this.ledger[number];
    const done = earlier ?? summary(number, ending);
    if (earlier === undefined) this.ledger.push(done);
    if (!isSeen) {
      this.state = pause(this.state, { by: 'trouble', reason: 'its end was not heard of' });
      return;
    }
    for (const text of waiting.hints) this.give(text, number);
    this.state = takeIn(finish(this.state, carried(done)), waiting);
    this.seen = number + 1;
    this.unchanged(() => finish(this.state, carried(done)));
  }

  /** To one finished experiment and no other. */
  private give(text: string, number: number): void {
    const experiments = this.given.get(text)!;
    experiments.add(number);
    assert.deepEqual([text, ...experiments], [text, number]);
  }

  private unchanged(change: () => StudyState): void {
    assert.equal(change(), this.state);
  }

  /** What holds whatever has happened. */
  check(): void {
    const { state } = this;
    const known = this.ledger.slice(0, this.seen);
    assert.deepEqual(
      this.ledger.map(({ number }) => number),
      [...this.ledger.keys()],
    );
    assert.equal(nextNumber(state), known.length);
    assert.deepEqual(state.recent, known.slice(-RECENT));
    assert.deepEqual(
      [state.kept, state.discarded, state.crashed],
      (['keep', 'discard', 'crash'] as const).map(
        (verdict) => known.filter((done) => done.verdict === verdict).length,
      ),
    );
    for (const key of ['gpuSeconds', 'seconds', 'dollars'] as const)
      assert.ok(Math.abs(state.spent[key] - known.reduce((sum, done) => sum + done[key], 0)) < 1e-6, key);
    const incumbent = known.findLast(({ verdict, number }) => verdict === 'keep' || number === 0);
    assert.equal(state.incumbent?.experiment, incumbent?.number);
    assert.equal(state.incumbent?.commit, incumbent?.commit);
    assert.equal(state.baselineScore, known[0]?.score ?? null);
    assert.equal(state.stopping !== null, this.wasStopped);
    assert.ok(state.waiting.hints.length <= MAX_WAITING);
    // Everything but what people ask for follows from the ledger.
    assert.deepEqual(adopt(state, rebuild(this.limits, known)), state);
    for (const [text, experiments] of this.given) {
      const isAnywhere =
        state.waiting.hints.includes(text) || experiments.size > 0 || this.forgotten.has(text);
      assert.deepEqual([text, isAnywhere], [text, true]);
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
