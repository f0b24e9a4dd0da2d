/** What proposes the next change. All researchers see the same context and answer with a proposal. */
import type { ExperimentRecord } from '../domain/experiment';
import type { LabConfig } from '../lab/config';
import type { Proposal } from '../lab/edits';

export interface ResearchContext {
  tag: string;
  /** The number of the experiment that the proposal is for. */
  number: number;
  lab: LabConfig;
  /** program.md as it is in the human's working tree right now. */
  program: string;
  incumbent: { commit: string; files: Record<string, string> };
  /** All finished experiments, oldest first. */
  history: readonly ExperimentRecord[];
  /** Contents of `path` at each of these commits; null where there is none. Cheap: one git process. */
  readAt: (path: string, commits: readonly string[]) => Promise<(string | null)[]>;
  hints: readonly string[];
  /** The interpreter of the trainer's environment. */
  python: string;
  /** A folder that is the proposal's own, for transcripts and worktrees. */
  folder: string;
}

export interface Researcher {
  /**
   * @param signal aborted when the study is stopped or the worker goes: end every process that was started
   * @throws NoProposal when there is nothing to try
   */
  propose(context: ResearchContext, signal: AbortSignal): Promise<Proposal>;
}

/** The researcher answered nothing that could be tried; the message says what it did instead. */
export class NoProposal extends Error {
  override name = 'NoProposal';
}
