/** The JSON that the `command` researcher reads on stdin. Its size does not grow with the study; docs/researchers.md describes each field. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ExperimentRecord } from '../domain/experiment';
import { APPROACH_TEXT } from '../domain/plateau';
import type { ResearchContext } from './researcher';

/** The newest experiments and the newest keeps that the JSON lists; the ledger file has all experiments. */
const RECENT = 30;
const KEPT = 50;

export const ledgerFile = ({ folder }: ResearchContext): string => join(folder, 'ledger.jsonl');

/** Writes the whole ledger, one record a line. The file stays until the experiment ends, since another attempt may read it. */
export async function writeLedgerFile(context: ResearchContext): Promise<void> {
  const { history } = context;
  await writeFile(ledgerFile(context), history.map((record) => `${JSON.stringify(record)}\n`).join(''));
}

export function contextJson(context: ResearchContext): string {
  const { history, lab, plateau, repair } = context;
  const count = (verdict: ExperimentRecord['verdict']): number =>
    history.filter((record) => record.verdict === verdict).length;
  return JSON.stringify({
    version: 2,
    tag: context.tag,
    experiment: context.number,
    metric: lab.metric,
    budget: context.budget,
    others: context.others,
    editable: lab.editable,
    program: context.program,
    hints: context.hints,
    ideas: context.ideas,
    lessons: context.lessons,
    plateau: {
      since: plateau.since,
      approach: plateau.approach === null ? null : APPROACH_TEXT[plateau.approach],
    },
    left: context.left,
    incumbent: context.incumbent,
    repair:
      repair === null
        ? null
        : {
            attempt: repair.attempt,
            of: repair.of,
            commit: repair.commit,
            files: repair.files,
            title: repair.title,
            hypothesis: repair.hypothesis,
            failure: repair.failure,
          },
    objection: context.refused.at(-1) ?? null,
    counts: {
      experiments: history.length,
      kept: count('keep'),
      discarded: count('discard'),
      crashed: count('crash'),
    },
    kept: history
      .filter(({ verdict }) => verdict === 'keep')
      .slice(-KEPT)
      .map(summaryOf),
    history: history.slice(-RECENT).map(summaryOf),
    ledger: ledgerFile(context),
  });
}

const summaryOf = (record: ExperimentRecord) => ({
  number: record.number,
  commit: record.commit,
  title: record.title,
  hypothesis: record.hypothesis,
  verdict: record.verdict,
  reason: record.reason,
  detail: record.detail,
  score: record.score,
  failure: record.failure,
});
