import { array, assert, integer, property } from 'fast-check';
import { seedIgnored } from '../../src/domain/seed';

const run = (seed: number, initialWeights: string | null) => ({ seed, initialWeights });

const honest = (seed: number) => run(seed, `weights of ${seed}`);

test('the same weights from another seed are told, with the run that had them', () => {
  const incumbent = [run(1, 'a'), run(2, 'b')];
  expect(seedIgnored(run(3, 'b'), incumbent)).toBe(incumbent[1]);
  expect(seedIgnored(run(3, 'c'), incumbent)).toBeNull();
});

test('the same seed again, and a run that never began, are nothing', () => {
  expect(seedIgnored(run(1, 'a'), [run(1, 'a')])).toBeNull();
  expect(seedIgnored(run(3, null), [run(1, null), run(2, 'a')])).toBeNull();
  expect(seedIgnored(run(3, 'a'), [])).toBeNull();
});

test('whoever lets the seed decide is never accused', () => {
  const seeds = array(integer({ min: 1 }), { maxLength: 20 });
  assert(
    property(integer({ min: 1 }), seeds, (seed, others) => {
      expect(seedIgnored(honest(seed), others.map(honest))).toBeNull();
    }),
  );
});
