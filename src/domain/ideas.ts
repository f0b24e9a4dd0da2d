/** The idea backlog and the lessons, read out of the records: nothing else keeps them, so they are there after any restart. */
import type { ExperimentRecord, Idea } from './experiment';

/** Older ideas than these many are dropped: a backlog that nobody can read helps nobody. */
const MAX_BACKLOG = 60;

type Learnt = Pick<ExperimentRecord, 'number' | 'ideas' | 'droppedIdeas' | 'research'>;

/** Ideas with their ids, in the order in which they came in with experiment `number`. */
export function newIdeas(number: number, human: readonly string[], researcher: readonly string[]): Idea[] {
  const texts = [
    ...human.map((text) => ({ text, from: 'human' as const })),
    ...researcher.map((text) => ({ text, from: 'researcher' as const })),
  ];
  return texts.map((idea, index) => ({ id: `${number}.${index + 1}`, ...idea }));
}

/** What was thought of and neither taken up nor dropped, oldest first; people's ideas are never crowded out. */
export function backlog(records: readonly Learnt[]): Idea[] {
  const gone = new Set(
    records.flatMap(({ research, droppedIdeas }) => [research?.idea ?? '', ...droppedIdeas]),
  );
  const open = records.flatMap(({ ideas }) => ideas).filter(({ id }) => !gone.has(id));
  const room = MAX_BACKLOG - open.filter(({ from }) => from === 'human').length;
  const kept = new Set(
    room <= 0
      ? []
      : open
          .filter(({ from }) => from === 'researcher')
          .slice(-room)
          .map(({ id }) => id),
  );
  return open.filter(({ id, from }) => from === 'human' || kept.has(id));
}

/** The lessons that were drawn last, and after which experiment; none before the first time. An empty list takes none away. */
export function lessons(records: readonly Learnt[]): { after: number | null; lessons: readonly string[] } {
  const last = records.findLast(({ research }) => (research?.lessons ?? []).length > 0);
  return { after: last?.number ?? null, lessons: last?.research?.lessons ?? [] };
}
