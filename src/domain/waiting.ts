/** What people have said for proposals to come, and what becomes of it: each of it is taken in once, by one experiment. */
import type { ExperimentRecord } from './experiment';
import type { Limits } from './limits';

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

/** A workflow run that was ended without being stopped: it has saved nothing. */
interface CutOff extends Asked {
  /** The experiments that it had heard the end of. */
  experiments: number;
  /** When it began, in milliseconds since the epoch. */
  begunAt: number;
}

type Taking = Pick<ExperimentRecord, 'number' | 'startedAt' | 'research' | 'ideas' | 'droppedIdeas'>;

/**
 * What people had asked of a run that was cut off, for the one that goes on. An experiment of its may have been recorded whose
 * end it did not hear of: what that has taken in does not wait any more. Records from before it began took nothing of its.
 */
export function inherit(
  { limits, waiting, experiments, begunAt }: CutOff,
  records: readonly Taking[],
): Asked {
  const unheard = records.filter(
    ({ number, startedAt }) => number >= experiments && Date.parse(startedAt) >= begunAt,
  );
  return { limits, waiting: unheard.map(takenBy).reduce(without, waiting) };
}

function takenBy({ research, ideas, droppedIdeas }: Taking): Waiting {
  const human = ideas.filter(({ from }) => from === 'human');
  return { hints: research?.hints ?? [], ideas: human.map(({ text }) => text), droppedIdeas };
}
