import * as fc from 'fast-check';
import type { ExperimentSummary, Verdict } from '../../src/domain/experiment';
import { secondsAside, UNLIMITED } from '../../src/domain/limits';
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

const FREE = { gpuHourDollars: 0 };

function done(number: number, verdict: Verdict, score: number | null = 1 - number / 100): ExperimentSummary {
  return {
    number,
    commit: String(number).padStart(40, '0'),
    verdict,
    reason:
      verdict === 'keep'
        ? number === 0
          ? 'baseline'
          : 'better'
        : verdict === 'discard'
          ? 'not-better'
          : 'oom',
    score: verdict === 'crash' ? null : score,
    scores: verdict === 'crash' || score === null ? [] : [score],
    incumbentScores: [],
    title: `experiment ${number}`,
    gpuSeconds: 310,
    seconds: 320,
    dollars: 0.25,
    assumed: null,
  };
}

const summaries = fc
  .array(fc.constantFrom<Verdict>('keep', 'discard', 'crash'), { maxLength: 120 })
  .map((verdicts) => verdicts.map((verdict, number) => done(number, number === 0 ? 'keep' : verdict)));

describe('finishing experiments', () => {
  test('what a discard measured of the incumbent is added to its scores, and goes with it', () => {
    const history: ExperimentSummary[] = [
      done(0, 'keep', 1),
      { ...done(1, 'discard'), incumbentScores: [1.01, 0.99] },
      { ...done(2, 'discard'), incumbentScores: [1.02] },
    ];
    expect(rebuild(UNLIMITED, history).incumbent).toMatchObject({
      score: 1,
      scores: [1, 1.01, 0.99, 1.02],
    });
    const kept = { ...done(3, 'keep', 0.9), incumbentScores: [1.03] };
    expect(rebuild(UNLIMITED, [...history, kept]).incumbent).toMatchObject({ experiment: 3, scores: [0.9] });
  });

  test('each is counted once, however often its result arrives', () => {
    fc.assert(
      fc.property(summaries, fc.array(fc.nat(200)), (history, repeats) => {
        let state = newStudy(UNLIMITED);
        for (const [index, experiment] of history.entries()) {
          state = finish(state, experiment);
          const again = history[repeats[index] ?? index];
          if (again !== undefined && again.number <= experiment.number) state = finish(state, again);
        }
        expect(state).toEqual(rebuild(UNLIMITED, history));
        expect(state.kept + state.discarded + state.crashed).toBe(history.length);
        expect(nextNumber(state)).toBe(history.length);
        expect(state.spent.gpuSeconds).toBeCloseTo(310 * history.length);
      }),
    );
  });

  test('the incumbent is the last kept one, and the baseline before that', () => {
    const history = [done(0, 'keep'), done(1, 'discard'), done(2, 'keep'), done(3, 'crash')];
    expect(rebuild(UNLIMITED, history).incumbent).toEqual({
      commit: done(2, 'keep').commit,
      experiment: 2,
      score: 0.98,
      scores: [0.98],
    });
    expect(rebuild(UNLIMITED, history.slice(0, 2)).incumbent?.experiment).toBe(0);
  });

  test('one that arrives before its predecessor is an error, not a gap', () => {
    expect(() => finish(newStudy(UNLIMITED), done(1, 'keep'))).toThrow(
      'experiment 1 finished before experiment 0',
    );
  });

  test('a crashed baseline pauses the study with its reason, and with what `resume` and `start` would do', () => {
    const state = finish(newStudy(UNLIMITED), done(0, 'crash'));
    expect(state.paused).toMatchObject({
      by: 'error',
      reason: expect.stringMatching(/^the baseline crashed: .*`start`.*resumed, .*the first change that/),
    });
    expect(nextAction(resume(state))).toBe('experiment');
  });

  test('a person’s pause is not turned into a rest', () => {
    const nothing = (number: number) => ({ ...done(number, 'crash'), reason: 'no-proposal' as const });
    const state = [done(0, 'keep'), nothing(1), nothing(2)].reduce(finish, newStudy(UNLIMITED));
    expect(finish(state, nothing(3)).paused?.by).toBe('ideas');
    const byUser = { by: 'user', reason: 'paused by request' } as const;
    expect(finish(pause(state, byUser), nothing(3)).paused).toEqual(byUser);
  });

  test('what is carried stays bounded', () => {
    const history = Array.from({ length: 500 }, (_, number) =>
      done(number, number === 0 ? 'keep' : 'discard'),
    );
    const state = rebuild(UNLIMITED, history);
    expect(state.recent).toHaveLength(RECENT);
    expect(state.recent.at(-1)?.number).toBe(499);
  });
});

describe('limits', () => {
  test('a limit pauses, raising it goes on at once, lowering it pauses again', () => {
    const limits = { ...UNLIMITED, experiments: 2 };
    let state = holdToLimits(rebuild(limits, [done(0, 'keep'), done(1, 'discard')]), FREE, 300);
    expect(state.paused).toEqual({ by: 'limit', reason: 'experiments limit: 2 of 2 done' });
    expect(nextAction(state)).toBe('wait');
    state = holdToLimits(adjustLimits(state, { experiments: 3 }), FREE, 300);
    expect(nextAction(state)).toBe('experiment');
    state = holdToLimits(adjustLimits(state, { experiments: 1 }), FREE, 300);
    expect(nextAction(state)).toBe('wait');
    expect(nextAction(holdToLimits(adjustLimits(state, { experiments: null }), FREE, 300))).toBe(
      'experiment',
    );
  });

  test('GPU hours are set aside: as many as the longest experiment took, at least the training budget', () => {
    const before = rebuild({ ...UNLIMITED, gpuHours: 0.16 }, [done(0, 'keep')]);
    const aside = secondsAside({ seconds: 300 }, before.recent);
    expect(aside).toBe(310);
    expect(secondsAside({ seconds: 320 }, before.recent)).toBe(320);
    expect(secondsAside({ steps: 20 }, [])).toBe(0);
    expect(holdToLimits(before, FREE, aside).paused?.reason).toBe(
      'GPU-hours limit: 0.0861 of 0.16 spent, 0.0861 are set aside for the next experiment',
    );
    expect(holdToLimits(before, FREE, 60).paused).toBeNull();
  });

  test('GPU hours are not exceeded while no experiment takes longer than the ones before', () => {
    const longest = 1000;
    const seconds = fc.array(fc.integer({ min: 300, max: longest }), { maxLength: 30 });
    fc.assert(
      fc.property(seconds, fc.integer({ min: 0, max: 20_000 }), (later, limit) => {
        let state = newStudy({ ...UNLIMITED, gpuHours: limit / 3600 });
        for (const [number, gpuSeconds] of [longest, ...later].entries()) {
          const held = holdToLimits(state, FREE, secondsAside({ seconds: 300 }, state.recent));
          if (held.paused !== null) break;
          state = finish(state, { ...done(number, 'keep'), gpuSeconds });
        }
        expect(state.spent.gpuSeconds).toBeLessThanOrEqual(
          Math.max(limit, state.spent.experiments > 1 ? 0 : longest),
        );
      }),
    );
  });

  test('raising a limit does not lift a pause that a person made', () => {
    const state = pause(rebuild(UNLIMITED, []), { by: 'user', reason: 'paused by request' });
    expect(nextAction(adjustLimits(state, { experiments: 100 }))).toBe('wait');
  });

  test('resuming against a limit that still holds pauses again with its reason', () => {
    const state = holdToLimits(rebuild({ ...UNLIMITED, experiments: 1 }, [done(0, 'keep')]), FREE, 300);
    expect(holdToLimits(resume(state), FREE, 300).paused?.by).toBe('limit');
  });
});

describe('requests in any order', () => {
  const request = fc.constantFrom<(state: StudyState) => StudyState>(
    (state) => pause(state, { by: 'user', reason: 'paused by request' }),
    resume,
    (state) => adjustLimits(state, { experiments: 5 }),
    (state) => adjustLimits(state, { experiments: null }),
    (state) => hint(state, 'try less'),
    (state) => holdToLimits(state, FREE, 300),
    (state) => stop(state, false),
    (state) => stop(state, true),
  );

  test('a stop is never taken back, nor made less urgent', () => {
    fc.assert(
      fc.property(fc.array(request), fc.array(request), fc.boolean(), (before, after, now) => {
        const stopped = stop(
          before.reduce((state, ask) => ask(state), newStudy(UNLIMITED)),
          now,
        );
        const later = after.reduce((state, ask) => ask(state), stopped);
        expect(nextAction(later)).toBe('stop');
        expect(stopped.stopping === 'now' && later.stopping !== 'now').toBe(false);
      }),
    );
  });

  test('what people asked for survives a new look into the ledger, and what happened comes from it', () => {
    fc.assert(
      fc.property(fc.array(request), summaries, (asked, history) => {
        const state = asked.reduce((current, ask) => ask(current), newStudy(UNLIMITED));
        const adopted = adopt(state, rebuild(UNLIMITED, history), null, 0);
        const { limits, waiting, paused, stopping, refused } = state;
        expect(adopted).toMatchObject({ limits, waiting, paused, stopping, refused });
        expect(nextNumber(adopted)).toBe(history.length);
      }),
    );
  });

  test('hints wait for one proposal; those that came meanwhile wait for the next', () => {
    const begun = hint(newStudy(UNLIMITED), 'first');
    const state = takeIn(hint(hint(begun, 'second'), 'first'), begun.waiting);
    expect(state.waiting.hints).toEqual(['second', 'first']);
    const full = Array.from({ length: MAX_WAITING + 1 }).reduce<StudyState>(
      (all) => hint(all, 'more'),
      state,
    );
    expect(full.waiting.hints).toHaveLength(MAX_WAITING);
    expect(full.refused).toContain('wait already');
  });
});
