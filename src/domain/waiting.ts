/** What people have said for proposals to come, and what becomes of it: each of it is taken in once, by one experiment. */
import type { ExperimentRecord } from './experiment';
import type { Limits } from './limits';
import { amount } from './numbers';

export interface Waiting {
  hints: string[];
  ideas: string[];
  /** Ids of ideas that are to leave the backlog. */
  droppedIdeas: string[];
}

export const NOTHING_WAITS: Waiting = { hints: [], ideas: [], droppedIdeas: [] };

/** What an experiment has taken in leaves; what was said after it began stays. */
export function without(waiting: Waiting, taken: Waiting): Waiting {
  return {
    hints: rest(waiting.hints, taken.hints),
    ideas: rest(waiting.ideas, taken.ideas),
    droppedIdeas: rest(waiting.droppedIdeas, taken.droppedIdeas),
  };
}

/** Each of `taken` removes one that is equal to it, the oldest. */
function rest(texts: readonly string[], taken: readonly string[]): string[] {
  const left = [...texts];
  for (const text of taken) {
    const index = left.indexOf(text);
    if (index >= 0) left.splice(index, 1);
  }
  return left;
}

/** What people have asked of a study that its ledger may not know. */
export interface Asked {
  limits: Limits;
  waiting: Waiting;
}

type Taking = Pick<ExperimentRecord, 'research' | 'ideas' | 'droppedIdeas'>;

/** What a recorded experiment took in. */
export function takenBy({ research, ideas, droppedIdeas }: Taking): Waiting {
  const human = ideas.filter(({ from }) => from === 'human');
  return { hints: research?.hints ?? [], ideas: human.map(({ text }) => text), droppedIdeas };
}

/** What the last record took in. */
export interface LastTaken {
  number: number;
  /** ISO 8601. */
  startedAt: string;
  taken: Waiting;
}

export function lastTaken(
  records: readonly (Taking & Pick<LastTaken, 'number' | 'startedAt'>)[],
): LastTaken | null {
  const last = records.at(-1);
  if (last === undefined) return null;
  return { number: last.number, startedAt: last.startedAt, taken: takenBy(last) };
}

/**
 * What still waits of what a workflow knows. Its last experiment may be recorded though it has not heard the end of it: what
 * that took in waits no more.
 * @param knows how many experiments the workflow has heard the end of, and when it was started, in milliseconds since the
 * epoch: one that has not looked into its ledger yet knows of none, and the records there took nothing of its
 */
export function stillWaiting(
  waiting: Waiting,
  last: LastTaken | null,
  knows: { experiments: number; startedAt: number },
): Waiting {
  if (last === null || last.number < knows.experiments) return waiting;
  const isOurs = knows.experiments > 0 || Date.parse(last.startedAt) >= knows.startedAt;
  return isOurs ? without(waiting, last.taken) : waiting;
}

/** `2 hints, 1 idea for the next experiment`; empty where nothing waits. */
export function waitingText({
  waiting: { hints, ideas, droppedIdeas },
  researcher,
}: {
  waiting: Waiting;
  researcher: string;
}): string {
  const unread = researcher === 'tpe' ? ' (tpe reads none)' : '';
  const parts = [
    ...(hints.length === 0 ? [] : [`${amount(hints.length, 'hint')}${unread}`]),
    ...(ideas.length === 0 ? [] : [amount(ideas.length, 'idea')]),
    ...(droppedIdeas.length === 0 ? [] : [`${amount(droppedIdeas.length, 'idea')} to drop`]),
  ];
  return parts.length === 0 ? '' : `${parts.join(', ')} for the next experiment`;
}
