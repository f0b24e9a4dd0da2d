import { runSeed } from '../../src/domain/seed';

describe('runSeed', () => {
  test('differs between runs, experiments and studies, and is always the same for the same run', () => {
    const seeds = new Set<number>();
    for (const study of ['nov21', 'nov21b']) {
      for (let experiment = 0; experiment < 500; experiment++) {
        for (let attempt = 1; attempt <= 5; attempt++) seeds.add(runSeed(study, experiment, attempt));
      }
    }
    expect(seeds.size).toBe(5000);
    expect(Math.min(...seeds)).toBeGreaterThanOrEqual(1);
    expect(Math.max(...seeds)).toBeLessThanOrEqual(2 ** 31 - 1);
    // Published studies stand on these: a change here would give every old study new seeds.
    expect([runSeed('nov21', 0, 1), runSeed('nov21', 1, 1), runSeed('nov21', 0, 2)]).toEqual([
      1343319089, 1800324483, 490219969,
    ]);
  });
});
