/** `verify`: does everything that is known of a study say the same? With `--repair` what is derived is made to. */
import type { Command } from 'commander';
import { setTimeout } from 'node:timers/promises';
import { z } from 'zod';
import { checkWorkflows } from '../lab/verify/check-workflows';
import type { Difference } from '../lab/verify/difference';
import { repairStudy, type Repaired } from '../lab/verify/repair';
import { verifyStudy } from '../lab/verify/verify';
import { handle, newCommand } from './command';
import { CliError, EXIT_CODES } from './errors';
import { verifiedText, type Report } from './render/verify';
import { findStudy, studyOptions, takesStudy, type FoundStudy } from './study-ref';
import { lookAtProcess, type StudyProcess } from './study-process';

/** Between a record and what follows it lies far less, unless something is wrong. */
const IN_FLIGHT_MS = 1_000;
const LOOKS = 3;

const schema = z.object({ ...studyOptions, repair: z.boolean() });

export function verifyCommand(): Command {
  const command = takesStudy(
    newCommand({
      name: 'verify',
      summary: 'hold records, refs, branch, results.tsv and workflows against each other',
      details:
        'Checks that each experiment has one verdict, one record, one row and one candidate, and that the branch is at the last ' +
        'kept commit. With --repair, what is derived from the records is mended: results.tsv, where the branch stands, ' +
        'missing refs of candidates. Records are never changed.',
      examples: ['npx autoresearch verify', 'npx autoresearch verify nov21 --repair'],
    }),
  ).option('--repair', 'mend what is derived', false);
  return handle(command, schema, async (out, { repair, ...choice }) => {
    const study = await findStudy(choice);
    const running = await lookAtProcess(study.config);
    let report = await verify(study, running);
    let repaired: Repaired | null = null;
    if (repair && report.differences.length > 0) {
      if (running?.isWorking === true) throw stillRuns(study.config.tag);
      repaired = await repairStudy(study.git, study.config.tag, report.differences);
      report = await verify(study, running);
    }
    out.answer(documentOf(report, repaired), verifiedText(report, repaired));
    if (report.differences.length > 0) process.exitCode = EXIT_CODES.conflict;
  });
}

/** What differs while the study writes may be on its way: only what stays is a difference. */
async function verify(study: FoundStudy, running: StudyProcess | null): Promise<Report> {
  let report = await look(study, running);
  if (running?.isWorking !== true) return report;
  for (let nth = 1; nth < LOOKS && report.differences.length > 0; nth++) {
    await setTimeout(IN_FLIGHT_MS);
    const seen = new Set(report.differences.map(({ what }) => what));
    report = await look(study, running);
    report.differences = report.differences.filter(({ what }) => seen.has(what));
  }
  return report;
}

async function look({ git, config }: FoundStudy, running: StudyProcess | null): Promise<Report> {
  const { found, differences, notes } = await verifyStudy(git, config.tag);
  const records = found?.records ?? [];
  const { outcomes = [], history = [] } = running ?? {};
  return {
    tag: config.tag,
    experiments: records.length,
    workflows: running === null ? null : new Set(outcomes.map(({ number }) => number)).size,
    differences: [...differences, ...(found === null ? [] : checkWorkflows(records, outcomes, history))],
    notes,
  };
}

function documentOf({ differences, ...report }: Report, repaired: Repaired | null): object {
  return { ...report, agrees: differences.length === 0, differences: differences.map(told), repaired };
}

/** A repair may hold the whole of results.tsv. */
const told = ({ repair, ...difference }: Difference): object => ({
  ...difference,
  isRepairable: repair !== null,
});

const stillRuns = (tag: string): CliError =>
  new CliError(
    'conflict',
    `study ${tag} runs, and what differs may be on its way: nothing was mended`,
    `\`npx autoresearch pause ${tag}\`, wait for the running experiment, then mend`,
  );
