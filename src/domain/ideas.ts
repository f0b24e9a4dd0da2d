/** The idea backlog and the lessons, computed from the records alone, so that they survive any restart. */
import type { ExperimentRecord, Idea } from './experiment';

/** Of more ideas the researchers' oldest are dropped: nobody reads a longer backlog. */
const MAX_BACKLOG = 60;

type Learnt = Pick<ExperimentRecord, 'number' | 'ideas' | 'droppedIdeas' | 'research'>;

/** The ideas that came with experiment `number`, with their ids: the user's first. */
export function newIdeas(number: number, human: readonly string[], researcher: readonly string[]): Idea[] {
  const texts = [
    ...human.map((text) => ({ text, from: 'human' as const })),
    ...researcher.map((text) => ({ text, from: 'researcher' as const })),
  ];
  return texts.map((idea, index) => ({ id: `${number}.${index + 1}`, ...idea }));
}

/** The ideas that were neither tried nor dropped, oldest first. The user's ideas are never dropped for lack of room. */
export function backlog(records: readonly Learnt[]): Idea[] {
  const gone = new Set(
    records.flatMap(({ research, droppedIdeas }) => [research?.idea ?? '', ...droppedIdeas]),
  );
  const open = records.flatMap(({ ideas }) => ideas).filter(({ id }) => !gone.has(id));
  const room = MAX_BACKLOG - open.filter(({ from }) => from === 'human').length;
  const fitting = new Set(
    room <= 0
      ? []
      : open
          .filter(({ from }) => from === 'researcher')
          .slice(-room)
          .map(({ id }) => id),
  );
  return open.filter(({ id, from }) => from === 'human' || fitting.has(id));
}

/** The latest lessons, and the experiment that brought them; null before the first. An empty list replaces nothing. */
export function lessons(records: readonly Learnt[]): { after: number | null; lessons: readonly string[] } {
  const last = records.findLast(({ research }) => (research?.lessons ?? []).length > 0);
  return { after: last?.number ?? null, lessons: last?.research?.lessons ?? [] };
}
