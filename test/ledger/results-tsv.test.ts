import {
  constantFrom,
  double,
  integer,
  option,
  string,
  record as recordOf,
  assert,
  property,
  array,
} from 'fast-check';
import { extendTable, parseResults, resultsTable } from '../../src/ledger/results-tsv';
import { makeRecord, makeRun, makeStudy } from '../labs/make-lab';

const study = { ...makeStudy('/', 'b'.repeat(40)), lab: '/lab' };

test('the first five columns are the field’s', () => {
  const table = resultsTable('val_bpb', [
    makeRecord(study, 0, { score: 0.9979, commit: 'c0ffee1'.padEnd(40, '0') }),
    makeRecord(study, 1, {
      score: 1.0051,
      verdict: 'discard',
      reason: 'not-better',
      title: 'switch to GeLU',
    }),
    makeRecord(study, 2, {
      score: null,
      verdict: 'crash',
      reason: 'oom',
      title: 'double width',
      dollars: 0.1,
    }),
  ]);
  expect(table.split('\n')).toEqual([
    'commit\tval_bpb\tmemory_gb\tstatus\tdescription\texperiment\treason\tseconds\tgpu_seconds\tdollars',
    'c0ffee1\t0.997900\t1.5\tkeep\tbaseline\t0\tbaseline\t10.0\t7.0\t0.0000',
    'aaaaaaa\t1.005100\t1.5\tdiscard\tswitch to GeLU\t1\tnot-better\t10.0\t7.0\t0.0000',
    'aaaaaaa\t0.000000\t0.0\tcrash\tdouble width\t2\toom\t10.0\t7.0\t0.1000',
    '',
  ]);
});

test('the second column is named after the lab’s metric', () => {
  expect(resultsTable('accuracy', []).split('\t')[1]).toBe('accuracy');
});

test('a crash’s zero is never read back as a score', () => {
  const [row] = parseResults(
    resultsTable('val_bpb', [makeRecord(study, 0, { verdict: 'crash', reason: 'oom', score: null })]),
  );
  expect(row).toMatchObject({ status: 'crash', score: null });
});

test('a table of the field, as upstream writes it, is read', () => {
  const table =
    'commit\tval_bpb\tmemory_gb\tstatus\tdescription\r\na1b2c3d\t0.997900\t44.0\tkeep\tbaseline\r\nd4e5f6g\t0.000000\t0.0\tCRASH \tdouble model width (OOM)\r\n';
  expect(parseResults(table)).toEqual([
    {
      commit: 'a1b2c3d',
      score: 0.9979,
      memoryGb: 44,
      status: 'keep',
      description: 'baseline',
      experiment: null,
    },
    {
      commit: 'd4e5f6g',
      score: null,
      memoryGb: 0,
      status: 'crash',
      description: 'double model width (OOM)',
      experiment: null,
    },
  ]);
});

test.each(['a1b2c3d\t0.99\t44.0\tkept\tx', 'a1b2c3d 0.99', 'a1b2c3d\t0.99\t44.0\tkeep'])(
  '%j is no row',
  (line) => {
    expect(() => parseResults(`header\n${line}\n`)).toThrow('line 2');
  },
);

const title = string({ unit: 'binary', maxLength: 40 });
const score = option(double({ min: 0.001, max: 100, noNaN: true }));
const experiment = recordOf({
  title,
  score,
  memory: integer({ min: 0, max: 200_000 }),
  verdict: constantFrom('keep', 'discard'),
});

test('whatever the titles, each record is one row with its score, and rows can be added one by one', () => {
  assert(
    property(array(experiment, { maxLength: 8 }), (experiments) => {
      const records = experiments.map((each, number) =>
        makeRecord(study, number, {
          title: each.title,
          score: each.score,
          verdict: each.score === null ? 'crash' : each.verdict,
          runs: [{ ...makeRun(each.score), metrics: { peakMemoryMb: each.memory } }],
        }),
      );
      const table = resultsTable('val_bpb', records);
      expect(table.match(/["\r]/)).toBeNull();
      const rows = parseResults(table);
      expect(rows.map((row) => row.experiment)).toEqual(records.map((record) => record.number));
      rows.forEach((row, index) => {
        expect(row.score?.toFixed(6)).toBe(experiments[index]?.score?.toFixed(6));
        expect(row.description).not.toBe('');
      });
      const grown = records.reduce<string | null>(
        (so_far, record, index) => (so_far === null ? null : extendTable(so_far, 'val_bpb', record, index)),
        resultsTable('val_bpb', []),
      );
      expect(grown).toBe(table);
    }),
  );
});

const row = (number: number) => makeRecord(study, number);

test('a row is added in its place; a table that is not the records’ is not extended', () => {
  const table = resultsTable('val_bpb', [row(0), row(3)]);
  expect(extendTable(table, 'val_bpb', row(2), 2)).toBe(resultsTable('val_bpb', [row(0), row(2), row(3)]));
  expect(extendTable(table, 'val_bpb', row(1), 3)).toBeNull();
  expect(extendTable(table, 'accuracy', row(1), 2)).toBeNull();
  expect(extendTable(table, 'val_bpb', row(3), 2)).toBeNull();
  expect(extendTable(table.replace('\t3\t', '\tx\t'), 'val_bpb', row(1), 2)).toBeNull();
});
