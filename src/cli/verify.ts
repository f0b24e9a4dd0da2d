/** `verify`: does everything that is known of a study say the same? With `--repair` what is derived is made to. */
import type { Command } from 'commander';
import { setTimeout } from 'node:timers/promises';
import { z } from 'zod';
import { checkWorkflows } from '../ledger/verify/check-workflows';
import type { Difference, Findings } from '../ledger/verify/difference';
import { repairStudy, type Repaired } from '../ledger/verify/repair';
import { verifyStudy } from '../ledger/verify/verify';
import { handle, newCommand } from './command';
import { CliError, EXIT_CODES } from '../studies/errors';
import { verifiedText, type Report } from './render/verify';
import { findRuins, findShown, studyOptions, takesStudy, type StudyChoice } from '../studies/find-study';
import type { Git } from '../ledger/git';
import { readStudyProcess, type StudyProcess } from '../studies/study-process';

/** Between a record and what follows it lies far less, unless something is wrong. */
const IN_FLIGHT_MS = 1_000;
const LOOKS = 3;

const schema = z.object({ ...studyOptions, repair: z.boolean() });

/** What `verify` looks at: a study, or what is left of one. */
interface Place {
  git: Git;
  tag: string;
}

export function verifyCommand(): Command {
  const command = takesStudy(
    newCommand({
      name: 'verify',
      details:
        'Checks that each experiment has one verdict, one record, one row and one candidate, and that the branch is at the last ' +
        'kept commit. With --repair it restores what is derived from the records: results.tsv, where the branch stands, ' +
        'missing refs of candidates. Records are never changed.',
      examples: ['npx autoresearch verify', 'npx autoresearch verify nov21 --repair'],
    }),
  ).option('--repair', 'restore what is derived', false);
  return handle(command, schema, async (out, { repair, ...choice }) => {
    const study = await findShown(choice).catch((error: unknown) => inRuins(choice, error));
    const running = 'config' in study ? await readStudyProcess(study.config) : null;
    const place = { git: study.git, tag: 'config' in study ? study.config.tag : study.tag };
    let report = await verify(place, running);
    let repaired: Repaired | null = null;
    if (repair && report.differences.length > 0) {
      if (running?.isWorking === true) throw stillRuns(place.tag);
      repaired = await repairStudy(place.git, place.tag, report.differences);
      report = await verify(place, running);
    }
    out.answer(documentOf(report, repaired), verifiedText(report, repaired));
    if (report.differences.length > 0) process.exitCode = EXIT_CODES.conflict;
  });
}

/** What is left of a study that cannot be read: that is what `verify` is for. Where nothing is, `error` stands. */
async function inRuins(choice: StudyChoice, error: unknown): Promise<Place> {
  const isDamage = error instanceof Error && error.name === 'LedgerError';
  const isGone = error instanceof CliError && error.code === 'not-found';
  const ruins = isDamage || isGone ? await findRuins(choice) : null;
  if (ruins === null) throw error;
  return ruins;
}

/** While the study writes, a difference may be temporary: only one that stays counts. */
async function verify(study: Place, running: StudyProcess | null): Promise<Report> {
  let report = await findDifferences(study, running);
  if (running?.isWorking !== true) return report;
  for (let nth = 1; nth < LOOKS && report.differences.length > 0; nth++) {
    await setTimeout(IN_FLIGHT_MS);
    const seen = new Set(report.differences.map(({ what }) => what));
    report = await findDifferences(study, running);
    report.differences = report.differences.filter(({ what }) => seen.has(what));
  }
  return report;
}

async function findDifferences({ git, tag }: Place, running: StudyProcess | null): Promise<Report> {
  const verified = await verifyStudy(git, tag);
  const { found } = verified;
  const records = found?.records ?? [];
  const { outcomes = [], history = [], open = [] } = running ?? {};
  const { differences, notes } = withoutUnderWay(verified, records.at(-1)?.number, open);
  return {
    tag,
    experiments: records.length,
    workflows: running === null ? null : new Set(outcomes.map(({ number }) => number)).size,
    differences: [...differences, ...(found === null ? [] : checkWorkflows(records, outcomes, history))],
    notes,
  };
}

/** The worker died after the record and before it moved the branch: the next worker moves it. */
function withoutUnderWay(
  { differences, notes }: Findings,
  last: number | undefined,
  open: readonly number[],
): Findings {
  if (last === undefined || !open.includes(last)) return { differences, notes };
  const isUnderWay = ({ about, experiment }: Difference): boolean =>
    about === 'branch' && experiment === last;
  const late = differences.filter(isUnderWay);
  return {
    differences: differences.filter((difference) => !isUnderWay(difference)),
    notes: [...notes, ...late.map(({ what }) => `${what}; experiment ${last} is not done with it yet`)],
  };
}

function documentOf({ differences, ...report }: Report, repaired: Repaired | null): object {
  return { ...report, agrees: differences.length === 0, differences: differences.map(asDocument), repaired };
}

/** A repair may hold the whole of results.tsv. */
const asDocument = ({ repair, ...difference }: Difference): object => ({
  ...difference,
  isRepairable: repair !== null,
});

const stillRuns = (tag: string): CliError =>
  new CliError(
    'conflict',
    `study ${tag} runs, and what differs may be on its way: nothing was repaired`,
    `\`npx autoresearch pause ${tag}\`, wait for the running experiment, then repair; where its worker has died, five minutes after that`,
  );
