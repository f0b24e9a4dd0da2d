/** What of a context the prompt is made from. */
import type { ResearchContext } from '../researcher';

export type Shown = Pick<
  ResearchContext,
  | 'lab'
  | 'budget'
  | 'policy'
  | 'others'
  | 'number'
  | 'program'
  | 'incumbent'
  | 'history'
  | 'hints'
  | 'ideas'
  | 'lessons'
  | 'plateau'
  | 'left'
  | 'repair'
> & {
  /** Patches by commit, of those that `wantedDiffs` names. */
  diffs: ReadonlyMap<string, string>;
  lessonsDue: boolean;
};
