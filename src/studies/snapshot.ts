/** Where a study stands at one moment, by its workflow, or by its ledger where the workflow cannot answer. */
import type { Progress } from '../domain/run';
import type { Sandbox } from '../domain/experiment';
import type { FailingTask } from '../temporal/failing-task';
import type { Phase, StudyStatus } from '../domain/status';
import type { Account } from '../researchers/spend-guard';

/** What a workflow waits for just now. */
export interface PendingActivity {
  /** `openStudy`, `propose`, `apply`, `train`, `evaluate`, `record` or `endWork`. */
  name: string;
  /** No worker, or no slot of one, has taken it yet. */
  isWaiting: boolean;
  /** 1 at the first try. */
  attempt: number;
  /** When the next try begins, in milliseconds since 1970; null while one is under way. */
  next: number | null;
  /** Why the last try failed; null when none did. */
  lastFailure: string | null;
  /** From its last heartbeat. */
  progress: Progress | null;
}

export interface CurrentExperiment {
  number: number;
  /** null until the researcher has proposed. */
  title: string | null;
  activity: PendingActivity | null;
}

export interface Snapshot {
  /** `workflow`: the study itself says so. `ledger`: rebuilt from git, because it has ended or no worker answers. */
  source: 'workflow' | 'ledger';
  /** `unknown`: without a server it is not known. */
  study: Omit<StudyStatus, 'phase'> & { phase: Phase | 'unknown' };
  current: CurrentExperiment | null;
  /** What the experiment that is not recorded yet has spent on being proposed; `study.spent` lacks it. */
  proposing: Account;
  /** The study's own activity, while it is opened. */
  opening: PendingActivity | null;
  /** The workflow, the study's or its experiment's, whose task fails again and again; null where none does. */
  failing: FailingTask | null;
  /** How the last run was contained; null before the first. */
  sandbox: Sandbox | null;
  /** Address of the study in Temporal's UI; null where it is not known. */
  link: string | null;
  /** What is wrong with the study, its worker or its server, and what to do; null when nothing is. */
  problem: string | null;
}
