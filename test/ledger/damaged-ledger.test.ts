/** A ledger that anything may have happened to: each reader gives what is whole, or an error in words. `verify` always answers. */
import * as fc from 'fast-check';
import { readLedger, readRecord, readStudy, appendRecord, LedgerError } from '../../src/ledger/ledger';
import { editTree, writeBlob, writeCommit } from '../../src/ledger/objects';
import { ledgerRef } from '../../src/ledger/refs';
import { extendTable, parseResults } from '../../src/ledger/results-tsv';
import { repairStudy } from '../../src/ledger/verify/repair';
import { verifyStudy } from '../../src/ledger/verify/verify';
import { damages } from '../damages';
import { makeRecord, makeStudy } from '../labs/make-lab';
import { studied } from './verify/studied';

const FILES = [
  'study.json',
  'results.tsv',
  'experiments/0000.json',
  'experiments/0001.json',
  'experiments/0002.json',
  'experiments/0009.json',
  'experiments/x',
  'other',
];

const outcomeOf = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'whole',
    (error: unknown) => (error instanceof LedgerError ? 'told' : String(error)),
  );

test('whatever its files hold', async () => {
  const { git, study } = await studied(['keep', 'discard', 'keep']);
  const { tag } = study;
  const head = (await git.resolve(ledgerRef(tag)))!;
  const damage = fc.tuple(fc.constantFrom(...FILES), damages);
  await fc.assert(
    fc.asyncProperty(fc.array(damage, { minLength: 1, maxLength: 3 }), async (all) => {
      const changes = await Promise.all(
        [...new Map(all)].map(async ([path, damaged]) => {
          const before = await git.answer(['cat-file', 'blob', `${head}:${path}`]).catch(() => null);
          const content = damaged(before ?? '');
          return { path, mode: '100644', id: content === null ? null : await writeBlob(git, content) };
        }),
      );
      const tree = await editTree(git, head, changes);
      const commit = await writeCommit(git, { tree, parent: head, message: 'Damage\n', at: study.createdAt });
      await git.bytes(['update-ref', ledgerRef(tag), commit]);

      const outcomes = [
        await outcomeOf(readStudy(git, tag)),
        await outcomeOf(readLedger(git, tag)),
        await outcomeOf(readRecord(git, tag, 1)),
        await outcomeOf(appendRecord(git, study, makeRecord(study, 3))),
      ];
      expect(outcomes.filter((outcome) => outcome !== 'whole' && outcome !== 'told')).toEqual([]);
      const { differences } = await verifyStudy(git, tag);
      expect(differences.every(({ what, todo }) => what !== '' && todo !== '')).toBe(true);
      await repairStudy(git, tag, differences);
    }),
    { numRuns: 25 },
  );
}, 120_000);

test('whatever results.tsv holds: rows, or the line that is none', () => {
  const record = makeRecord({ ...makeStudy('/', 'b'.repeat(40)), lab: '/lab' }, 1);
  const words = fc.constantFrom(
    '\t',
    '\n',
    '\r\n',
    'keep',
    'discard',
    'crash',
    'CRASH ',
    '0.000000',
    '1e999',
    'NaN',
    'a1b2c3d',
    '"',
    '',
  );
  fc.assert(
    fc.property(
      fc.array(fc.oneof(words, fc.string({ maxLength: 5 })), { maxLength: 40 }),
      fc.nat(5),
      (parts, count) => {
        const table = parts.join('');
        let said = '';
        try {
          for (const { score, memoryGb } of parseResults(table)) {
            expect(score === null || Number.isFinite(score)).toBe(true);
            expect(Number.isNaN(memoryGb)).toBe(false);
          }
        } catch (error) {
          said = String(error);
        }
        expect(said).toMatch(/^$|results\.tsv, line \d+: expected/);
        const extended = extendTable(table, 'val_bpb', record, count);
        expect(extended === null || extended.startsWith('commit\tval_bpb\t')).toBe(true);
      },
    ),
    { numRuns: 500 },
  );
});
