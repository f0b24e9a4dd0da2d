import { backlog, lessons, newIdeas } from '../../src/domain/ideas';
import type { ExperimentRecord } from '../../src/domain/experiment';
import { makeResearch } from '../ledger/research';

type Learnt = Parameters<typeof backlog>[0][number];

const record = (number: number, change: Partial<ExperimentRecord> = {}): Learnt => ({
  number,
  ideas: [],
  droppedIdeas: [],
  research: null,
  ...change,
});

test('the backlog has the ideas that were neither tried nor dropped, in order', () => {
  const records = [
    record(0, { ideas: newIdeas(0, ['mine'], []) }),
    record(1, { ideas: newIdeas(1, ['another of mine'], ['theirs', 'also theirs']) }),
    record(2, { research: makeResearch({ idea: '1.2' }) }),
    record(3, { droppedIdeas: ['0.1'] }),
  ];
  expect(backlog(records)).toEqual([
    { id: '1.1', text: 'another of mine', from: 'human' },
    { id: '1.3', text: 'also theirs', from: 'researcher' },
  ]);
});

test("a long backlog drops the researcher's oldest ideas, never people's", () => {
  const records = [
    record(0, { ideas: newIdeas(0, ['mine'], []) }),
    ...Array.from({ length: 100 }, (_, index) =>
      record(index + 1, { ideas: newIdeas(index + 1, [], [`idea ${index}`]) }),
    ),
  ];
  const open = backlog(records);
  expect(open).toHaveLength(60);
  expect(open[0]).toMatchObject({ text: 'mine' });
  expect(open.at(-1)).toMatchObject({ text: 'idea 99' });
});

test('the lessons are the latest list', () => {
  const records = [
    record(5, { research: makeResearch({ lessons: ['wider is worse'] }) }),
    record(6, { research: makeResearch() }),
    record(10, { research: makeResearch({ lessons: ['wider is worse', 'warm up less'] }) }),
    record(11),
  ];
  expect(lessons(records)).toEqual({ after: 10, lessons: ['wider is worse', 'warm up less'] });
  expect(lessons([record(0)])).toEqual({ after: null, lessons: [] });
});

test('an empty list of lessons replaces nothing', () => {
  const records = [
    record(5, { research: makeResearch({ lessons: ['wider is worse'] }) }),
    record(7, { research: makeResearch({ lessons: [] }) }),
  ];
  expect(lessons(records)).toEqual({ after: 5, lessons: ['wider is worse'] });
});
