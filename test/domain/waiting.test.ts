import { lastTaken, stillWaiting, type Waiting } from '../../src/domain/waiting';
import { makeResearch } from '../ledger/research';

const STARTED = '2026-11-21T10:00:00.000Z';
const LATER = '2026-11-21T11:00:00.000Z';
const EARLIER = '2026-11-21T09:00:00.000Z';
const knows = { experiments: 4, startedAt: Date.parse(STARTED) };
const waiting: Waiting = { hints: ['a', 'b', 'a'], ideas: ['x', 'y'], droppedIdeas: ['1.1'] };
const record = {
  number: 4,
  startedAt: LATER,
  research: makeResearch({ hints: ['a'] }),
  ideas: [
    { id: '4.1', text: 'x', from: 'human' as const },
    { id: '4.2', text: 'y', from: 'researcher' as const },
  ],
  droppedIdeas: ['1.1'],
};

const still = (change: Partial<typeof record>, known = knows): Waiting =>
  stillWaiting(waiting, lastTaken([{ ...record, ...change }]), known);

test('what a record took in whose end was not heard of does not wait any more, and no more than that', () => {
  expect(still({})).toEqual({ hints: ['b', 'a'], ideas: ['y'], droppedIdeas: [] });
  expect(stillWaiting(waiting, null, knows)).toEqual(waiting);
});

test('a record that was heard of, or that is older than the workflow, took nothing of what waits', () => {
  expect(still({ number: 3 })).toEqual(waiting);
  // Ended before it had looked into its ledger, a workflow knows of no experiment.
  const unopened = { ...knows, experiments: 0 };
  expect(still({ startedAt: EARLIER }, unopened)).toEqual(waiting);
  expect(still({}, unopened).hints).toEqual(['b', 'a']);
});
