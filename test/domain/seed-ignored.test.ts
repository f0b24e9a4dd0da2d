import { array, assert, boolean, integer, property, uniqueArray } from 'fast-check';
import { seedEffect, type SeededRun } from '../../src/domain/seed';

let made = 0;
const run = (seed: number, initialWeights: string | null, weights = `weights ${made++}`): SeededRun => ({
  seed,
  initialWeights,
  weights,
});
const honest = (seed: number): SeededRun => run(seed, `drawn from ${seed}`);
const fine = { sameAsSeed: null, isIgnored: false };

test('a change that fixes the seed is found by its own runs, or by the weights of its parent', () => {
  const parent = [honest(1), honest(2)];
  const found = { sameAsSeed: 3, isIgnored: true };
  expect(seedEffect(run(4, 'fixed'), { own: [run(3, 'fixed')], parent })).toEqual(found);
  expect(seedEffect(run(4, 'drawn from 2'), { own: [], parent })).toEqual({ ...found, sameAsSeed: 2 });
  expect(seedEffect(honest(4), { own: [honest(3)], parent })).toEqual(fine);
});

test('a change is not at fault for an inherited fixed seed', () => {
  const noted = { sameAsSeed: 1, isIgnored: false };
  expect(seedEffect(run(2, 'fixed'), { own: [], parent: [run(1, 'fixed')] })).toEqual(noted);
  const parent = [run(1, 'fixed'), run(3, 'fixed')];
  expect(seedEffect(run(2, 'fixed'), { own: [run(4, 'fixed')], parent })).toEqual({
    ...noted,
    sameAsSeed: 4,
  });
});

test('the baseline has no parent and is not rejected', () => {
  const own = [run(1, 'fixed')];
  expect(seedEffect(run(2, 'fixed'), { own, parent: [] })).toEqual({ sameAsSeed: 1, isIgnored: false });
});

test('a model of constants draws no weights, whatever its parent drew', () => {
  const parent = [honest(1), honest(2)];
  expect(seedEffect(run(4, null), { own: [run(3, null)], parent })).toEqual(fine);
});

test('equal submitted weights are recorded: neither initialisation nor data order had an effect', () => {
  const parent = [honest(1), honest(2)];
  const own = [run(3, 'a', 'trained')];
  expect(seedEffect(run(4, 'b', 'trained'), { own, parent })).toEqual({ sameAsSeed: 3, isIgnored: false });
  expect(seedEffect(run(4, null, 'trained'), { own, parent })).toEqual({ sameAsSeed: 3, isIgnored: false });
});

test('the same seed again, or a run that never started, tells nothing', () => {
  const parent = [honest(1), honest(2)];
  expect(seedEffect(run(3, 'fixed'), { own: [run(3, 'fixed')], parent })).toEqual(fine);
  const unstarted = { seed: 4, initialWeights: null, weights: null };
  expect(seedEffect({ ...unstarted, seed: 5 }, { own: [unstarted], parent: [unstarted] })).toEqual(fine);
});

const seeds = array(integer({ min: 1 }), { maxLength: 20 });

test('a candidate that uses its seed is never at fault', () => {
  assert(
    property(integer({ min: 1 }), seeds, seeds, (seed, own, parent) => {
      const others = { own: own.map(honest), parent: parent.map(honest) };
      expect(seedEffect(honest(seed), others)).toEqual(fine);
    }),
  );
});

test('nor is a child of a parent whose initial weights never differ', () => {
  const some = uniqueArray(integer({ min: 1 }), { minLength: 1, maxLength: 9 });
  assert(
    property(integer({ min: 1 }), some, some, boolean(), (seed, own, parent, isSame) => {
      const others = {
        own: own.map((each) => run(each, 'fixed')),
        parent: parent.map((each) => run(each, isSame ? 'fixed' : 'fixed before')),
      };
      expect(seedEffect(run(seed, 'fixed'), others).isIgnored).toBe(false);
    }),
  );
});
