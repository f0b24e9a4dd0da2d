import { UNLIMITED } from '../../src/domain/limits';
import { inherit, type Waiting } from '../../src/domain/waiting';
import { makeResearch } from '../lab/research';

const BEGUN = '2026-11-21T10:00:00.000Z';
const waiting: Waiting = { hints: ['a', 'b', 'a'], ideas: ['x', 'y'], droppedIdeas: ['1.1'] };
const cutOff = { limits: { ...UNLIMITED, hours: 3 }, waiting, experiments: 4, begunAt: Date.parse(BEGUN) };
const taking = {
  number: 4,
  startedAt: '2026-11-21T11:00:00.000Z',
  research: makeResearch({ hints: ['a'] }),
  ideas: [
    { id: '4.1', text: 'x', from: 'human' as const },
    { id: '4.2', text: 'y', from: 'researcher' as const },
  ],
  droppedIdeas: ['1.1'],
};

test('all that waited goes over, and the limits', () => {
  expect(inherit(cutOff, [])).toEqual({ limits: cutOff.limits, waiting });
});

test('what a record took in whose end the run did not hear of does not wait any more, and no more than that', () => {
  const left = { hints: ['b', 'a'], ideas: ['y'], droppedIdeas: [] };
  expect(inherit(cutOff, [taking]).waiting).toEqual(left);
  expect(inherit(cutOff, [{ ...taking, research: null }]).waiting.hints).toEqual(['a', 'b', 'a']);
});

test('a record that the run knew, or from before it began, took nothing of what waits', () => {
  expect(inherit(cutOff, [{ ...taking, number: 3 }]).waiting).toEqual(waiting);
  // A run that was ended before it had looked into its ledger knows of no experiment.
  const unopened = { ...cutOff, experiments: 0 };
  expect(inherit(unopened, [{ ...taking, startedAt: '2026-11-21T09:00:00.000Z' }]).waiting).toEqual(waiting);
});
