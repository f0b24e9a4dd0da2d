/** An answer that was paid for is never asked for again because it does not fit into the record. */
import * as fc from 'fast-check';
import { readProposal } from '../../../src/ledger/proposals';
import { recordSchema } from '../../../src/ledger/records';
import { makeRecord } from '../../labs/make-lab';
import { answer } from '../../messages-api/reply';
import { CHANGE, MODEL, propose, serve } from './asking';
import { EDIT, newStudy, run } from './studied';

jest.setTimeout(120_000);

const SECRET = 'hunter22';
beforeEach(() => (process.env['HOUSE_PASSWORD'] = SECRET));
afterEach(() => void delete process.env['HOUSE_PASSWORD']);

/** Lessons are due at once. */
const LEARNING = { ...MODEL, lessonsEvery: 1 };

test('texts that redaction makes too long are cut, and paid once', async () => {
  const full = (length: number): string => `${SECRET} `.repeat(length / 9).padEnd(length, '.');
  const api = await serve(() =>
    answer(
      propose({
        title: full(120),
        hypothesis: full(4000),
        expected: full(1000),
        ideas: [full(2000)],
        lessons: [full(2000)],
        knobs: Array.from({ length: 50 }, (_, index) => `KNOB_${index}`),
        edits: [EDIT],
      }),
    ),
  );
  const study = await newStudy(LEARNING);
  const proposed = await run(study, 2);
  expect(proposed.gaveUp).toBeNull();
  expect(api.served).toHaveLength(1);
  const { hypothesis, ideas, research } = await readProposal(study.git, proposed.proposal);
  expect([hypothesis.length, ideas?.[0]?.length, research?.expected.length]).toEqual([4000, 2000, 1000]);
  expect(research?.lessons?.[0]).toHaveLength(2000);
  expect(JSON.stringify({ hypothesis, ideas, research })).not.toContain(SECRET);
});

const text = (most: number) =>
  fc.oneof(
    fc.string({ unit: 'binary', maxLength: 50 }),
    fc
      .tuple(fc.constantFrom('\ud800', 'x', `${SECRET} `, '\u0000', '😀'), fc.nat(most))
      .map(([unit, length]) => unit.repeat(length)),
    fc.constantFrom('', ' ', '\n', 'ok', null, 7, {}),
  );

test('any answer of a model becomes a proposal that a record can hold, within the allowed calls', async () => {
  const change = fc.record(
    {
      title: text(150),
      hypothesis: text(5000),
      expected: text(1200),
      knobs: fc.array(text(100), { maxLength: 60 }),
      idea: fc.constantFrom(null, '1.1', 'x', 3),
      ideas: fc.array(text(2500), { maxLength: 12 }),
      ranges: fc.array(
        fc.record({
          name: fc.constantFrom('LR', 'lr'),
          file: fc.constantFrom('train.py', '/etc/passwd'),
          type: fc.constantFrom('int', 'float', 'x'),
          low: fc.oneof(fc.double(), fc.constant(1e308)),
          high: fc.double(),
          log: fc.boolean(),
        }),
        { maxLength: 3 },
      ),
      lessons: fc.oneof(fc.constant(null), fc.array(text(2500), { maxLength: 22 })),
      edits: fc.oneof(
        fc.constant([EDIT]),
        fc.array(fc.record({ path: text(1500), search: text(5), replace: text(5) }), { maxLength: 3 }),
      ),
    },
    { requiredKeys: [] },
  );
  let proposing: Parameters<typeof propose>[0] = {};
  const api = await serve(() => answer(propose({ ...CHANGE, edits: [EDIT], ...proposing })));
  await fc.assert(
    fc.asyncProperty(change, async (given) => {
      proposing = given;
      const before = api.served.length;
      const study = await newStudy(LEARNING);
      const proposed = await run(study, 20);
      expect(api.served.length - before).toBeLessThanOrEqual(24);
      expect(proposed.dollars).toBeGreaterThan(0);
      const { title, hypothesis, research = null } = await readProposal(study.git, proposed.proposal);
      recordSchema.parse({ ...makeRecord(study.study, 1), title, hypothesis, research });
    }),
    { numRuns: 40 },
  );
}, 600_000);
