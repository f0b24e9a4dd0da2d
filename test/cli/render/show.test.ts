import { showText } from '../../../src/cli/render/show';
import { makeLab, makeRecord, makeStudy } from '../../labs/make-lab';

test('a run whose seed changed nothing says so', () => {
  const { root, base } = makeLab();
  const record = makeRecord(makeStudy(root, base), 1, { commit: base, incumbent: base });
  const text = (sameWeightsAsSeed: number | null) =>
    showText({
      tag: 'nov21',
      number: 1,
      metric: 'val_bpb',
      record: { ...record, runs: record.runs.map((run) => ({ ...run, seed: 7, sameWeightsAsSeed })) },
      proposed: null,
      commit: base,
      diff: '',
      edits: [],
      log: null,
    });
  expect(text(8)).toContain('seed 7 gave the same weights as seed 8');
  expect(text(null)).not.toContain('same weights');
});
