/** What Temporal remembers of a study against the records: verdicts of closed experiments, and the study's own count. */
import type { ExperimentRecord, ExperimentSummary } from '../../domain/experiment';
import type { Difference } from './difference';

/** How an experiment's workflow ended, as far as the server still has it. */
export interface Outcome {
  number: number;
  workflowId: string;
  runId: string;
  verdict: string;
  /** null without a score. */
  score: number | null;
}

export function checkWorkflows(
  records: readonly ExperimentRecord[],
  outcomes: readonly Outcome[],
  history: readonly ExperimentSummary[],
): Difference[] {
  const byNumber = new Map(records.map((record) => [record.number, record]));
  const differences: Difference[] = [];
  const add = (experiment: number, what: string): void =>
    void differences.push({ about: 'workflow', experiment, what, todo: TODO, repair: null });
  for (const { number, workflowId, runId, verdict, score } of outcomes) {
    const name = `workflow ${workflowId} (run ${runId})`;
    const record = byNumber.get(number);
    if (record === undefined) add(number, `${name} ended with ${verdict}, and has no record`);
    else if (record.verdict !== verdict || record.score !== score) {
      const said = `${verdict}, score ${String(score)}`;
      add(
        number,
        `${name} ended with ${said}; its record says ${record.verdict}, score ${String(record.score)}`,
      );
    }
  }
  for (const { number, commit, verdict, score } of history) {
    const record = byNumber.get(number);
    if (record === undefined) add(number, `the study counts experiment ${number}, which has no record`);
    else if (record.verdict !== verdict || record.score !== score || record.commit !== commit)
      add(
        number,
        `the study remembers experiment ${number} otherwise than its record: ${verdict}, score ${String(score)}`,
      );
  }
  return differences;
}

const TODO =
  'the ledger was changed or moved back: see `git reflog` of its branch; the record is what counts from now on, if it is right';
