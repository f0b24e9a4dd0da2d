/** What the prompt is made from. */
import type { ResearchContext } from '../researcher';

export type PromptInput = Pick<
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
  /** Patches by commit, for the commits that `wantedDiffs` names. */
  diffs: ReadonlyMap<string, string>;
  /** True when the model must give a new list of lessons with this proposal. */
  lessonsDue: boolean;
};
