import { replayedText } from '../../../src/cli/render/replay';

const AGREES = { workflowId: 'study-nov21', runId: 'run', events: 20, failure: null };
const agreed = '2 histories, 40 events: today’s workflow code does what was done';

test.each([
  [{ experiments: 10_000, withoutHistory: 0 }, agreed],
  [
    { experiments: 10_000, withoutHistory: 9_900 },
    `${agreed}\n9900 of the ledger’s 10000 experiments have no history any more: closed workflows go at the namespace’s retention`,
  ],
  [
    { experiments: 2, withoutHistory: 1 },
    `${agreed}\n1 of the ledger’s 2 experiments has no history any more: closed workflows go at the namespace’s retention`,
  ],
  [
    null,
    `${agreed}\nHow many experiments have no history in it the archive does not say: it is of version 0.2`,
  ],
])('reports what was not replayed: %j', (coverage, text) => {
  expect(replayedText([AGREES, AGREES], coverage)).toBe(text);
});
