/**
 * A study's whole life on paper: whatever people ask, whenever results come (late, twice, never), however often it is begun
 * again from the ledger, some things always hold. The loop is the workflow's, the ledger an array, time a list of steps.
 */
import assert from 'node:assert/strict';
import type { TrainBudget } from '../../src/domain/budget';
import type { ExperimentSummary } from '../../src/domain/experiment';
import { secondsAside, type Limits } from '../../src/domain/limits';
import { plateauOf, sinceKeep } from '../../src/domain/plateau';
import {
  adjustLimits,
  adopt,
  finish,
  hint,
  holdToLimits,
  idea,
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
import { lastTaken, stillWaiting, NOTHING_WAITS, type Asked, type Waiting } from '../../src/domain/waiting';
import { Papers, type Proposing } from './papers';

export type Ending = Pick<ExperimentSummary, 'verdict' | 'score' | 'gpuSeconds' | 'seconds' | 'dollars'>;

export type Step =
  | { do: 'go' | 'trouble' | 'pause' | 'resume' | 'continue as new' }
  /** Stopped and resumed; terminated and resumed; its server lost, and resumed from the ledger alone. */
  | { do: 'stop and begin again' | 'begin again' | 'lose the server' }
  | { do: 'say'; kind: 'hints' | 'ideas'; times: number }
  | { do: 'propose'; proposing: Proposing }
  | { do: 'end' | 'end unseen'; ending: Ending }
  | { do: 'late' | 'drop'; back: number }
  | { do: 'stop'; now: boolean }
  | { do: 'adjust'; limits: Partial<Limits> };

interface Running {
  number: number;
  waiting: Waiting;
  limits: Limits;
  startedAt: string;
}

const PLATEAU = 4;

/** Gives away what it is given as Temporal does: as JSON. */
const carried = <T>(value: T): T => JSON.parse(JSON.stringify(value)) as T;

const askedOf = ({ limits, paused, stopping, refused }: StudyState) => ({
  limits,
  paused,
  stopping,
  refused,
});

export class Life {
  readonly papers = new Papers();
  readonly ledger: ExperimentSummary[] = [];
  state: StudyState;
  /** How much of the ledger the workflow knows. */
  seen = 0;
  running: Running | null = null;
  wasStopped = false;
  /** What study.json holds. */
  private saved: Asked;
  /** When its workflow was started. */
  private begunAt = 0;
  private clock = 0;
  private texts = 0;

  constructor(
    readonly budget: TrainBudget,
    limits: Limits,
  ) {
    this.saved = { limits: carried(limits), waiting: NOTHING_WAITS };
    this.state = newStudy(this.saved.limits);
  }

  take(step: Step): void {
    this.clock++;
    switch (step.do) {
      case 'go':
        return this.go();
      case 'propose':
        if (this.running !== null)
          this.papers.propose(this.running.number, this.running.waiting, step.proposing);
        return;
      case 'end':
      case 'end unseen':
        return this.end(step.ending, step.do === 'end');
      case 'trouble':
        if (this.running === null) return;
        this.running = null;
        this.state = pause(this.state, { by: 'error', reason: 'it could not be done' });
        return;
      case 'late': {
        // What was finished before, once more: a retry, a second worker, a message that was long under way.
        const earlier = this.ledger[this.seen - 1 - step.back];
        if (earlier !== undefined) this.unchanged(() => finish(this.state, earlier));
        return;
      }
      case 'say':
        for (let time = 0; time < step.times; time++) this.say(step.kind);
        return;
      case 'drop': {
        const open = this.papers.backlog().at(-1 - step.back);
        if (open === undefined) return;
        this.papers.drops.push(open.id);
        this.state = idea(this.state, { drop: open.id });
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
      case 'stop and begin again':
        this.saved = carried({ limits: this.state.limits, waiting: this.unheard().waiting });
        return this.begin(this.saved);
      case 'begin again':
        return this.begin(this.unheard());
      case 'lose the server':
        // An idea that a proposal has taken up is in no ledger before its experiment is.
        if (this.papers.tookUp(this.ledger.length)) return;
        this.papers.forgetAllBut(this.saved.waiting);
        return this.begin(this.saved);
    }
  }

  /** What the run that ends would hand on, as `resume` finds it out. */
  private unheard(): Asked {
    const { limits, waiting, spent } = carried(this.state);
    const knows = { experiments: spent.experiments, startedAt: this.begunAt };
    return { limits, waiting: stillWaiting(waiting, this.last(), knows) };
  }

  private last = () => carried(lastTaken(this.papers.records));

  private begin({ limits, waiting }: Asked): void {
    this.running = null;
    this.wasStopped = false;
    this.begunAt = this.clock;
    this.open(carried(newStudy(limits, waiting)));
  }

  private open(state: StudyState): void {
    const before = this.state;
    const isUpToDate = this.seen === this.ledger.length;
    const found = rebuild(this.saved.limits, carried(this.ledger));
    this.state = carried(adopt(state, found, this.last(), this.begunAt));
    this.seen = this.ledger.length;
    assert.deepEqual(askedOf(this.state), askedOf(state));
    // Where the workflow knew everything, nobody notices.
    if (isUpToDate && state !== before && state.spent.experiments > 0) assert.deepEqual(this.state, before);
  }

  private say(kind: 'hints' | 'ideas'): void {
    const text = `${kind} ${this.texts++}`;
    const waiting = this.state.waiting[kind].length;
    this.state = kind === 'hints' ? hint(this.state, text) : idea(this.state, { text });
    if (waiting < MAX_WAITING) this.papers.said[kind].add(text);
    else assert.match(this.state.refused ?? '', new RegExp(`${MAX_WAITING} of these wait`));
  }

  private go(): void {
    if (this.running !== null) return;
    const aside = secondsAside(this.budget, this.state.recent);
    this.state = holdToLimits(this.state, { gpuHourDollars: 0 }, aside);
    if (nextAction(this.state) !== 'experiment') return;
    assert.equal(this.wasStopped, false);
    assert.equal(this.state.paused, null);
    const { limits, spent, waiting } = this.state;
    assert.ok(spent.experiments + 1 <= (limits.experiments ?? Infinity));
    assert.ok(spent.gpuSeconds + aside <= (limits.gpuHours ?? Infinity) * 3600);
    assert.ok(spent.seconds < (limits.hours ?? Infinity) * 3600);
    assert.ok(spent.dollars < (limits.dollars ?? Infinity));
    const startedAt = new Date(this.clock).toISOString();
    this.running = { number: nextNumber(this.state), waiting: carried(waiting), limits, startedAt };
  }

  private end(ending: Ending, isSeen: boolean): void {
    if (this.running === null) return;
    const { number, waiting, limits, startedAt } = this.running;
    this.running = null;
    const proposed = this.papers.propose(number, waiting, { pick: null, own: 0 });
    const taken = this.papers.record(number, proposed, startedAt);
    const earlier = this.ledger[number];
    const done = earlier ?? summary(number, ending);
    if (earlier === undefined) {
      this.ledger.push(done);
      this.saved = { limits, waiting: NOTHING_WAITS };
    }
    if (!isSeen) {
      this.state = pause(this.state, { by: 'error', reason: 'its end was not heard of' });
      return;
    }
    this.state = takeIn(finish(this.state, carried(done)), taken);
    this.seen = number + 1;
    this.unchanged(() => finish(this.state, carried(done)));
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
    // Everything but what people ask for follows from the ledger.
    assert.deepEqual(adopt(state, rebuild(this.saved.limits, known), null, 0), state);
    this.checkPlateau(known);
    const isHeard = this.seen === this.ledger.length;
    this.papers.check(isHeard ? state.waiting : this.unheard().waiting);
  }

  private checkPlateau(known: readonly ExperimentSummary[]): void {
    const keeps = known.filter(({ verdict }) => verdict === 'keep');
    const since = known.filter(({ number }) => number > (keeps.at(-1)?.number ?? -1)).length;
    assert.equal(this.state.sinceKeep, since);
    assert.equal(sinceKeep(known), since);
    assert.equal(plateauOf(since, PLATEAU).approach !== null, since >= PLATEAU);
  }
}

function summary(number: number, ending: Ending): ExperimentSummary {
  const verdict = number === 0 && ending.verdict === 'discard' ? 'keep' : ending.verdict;
  return {
    ...ending,
    number,
    verdict,
    score: verdict === 'crash' ? null : ending.score,
    commit: number.toString(16).padStart(40, '0'),
    reason: verdict === 'keep' ? 'better' : verdict === 'discard' ? 'not-better' : 'oom',
    scores: verdict === 'crash' || ending.score === null ? [] : [ending.score],
    incumbentScores: [],
    title: `experiment ${number}`,
    assumed: null,
  };
}
