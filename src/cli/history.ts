/** `history`: every experiment of a study, from git alone. */
import type { Command } from 'commander';
import { z } from 'zod';
import { summarize } from '../domain/experiment';
import { rebuild } from '../domain/study';
import { statusLine } from '../domain/status';
import { readLedger } from '../ledger/ledger';
import { resultsTable } from '../ledger/results-tsv';
import { handle, newCommand } from './command';
import { CliError } from '../studies/errors';
import { answerList } from './list';
import { historyTable } from './render/history';
import {
  findAllShown,
  findShown,
  studyOptions,
  takesStudy,
  type StudyChoice,
  type FoundStudy,
} from '../studies/find-study';

const schema = z.object({ ...studyOptions, tsv: z.boolean() });

export function historyCommand(): Command {
  const command = takesStudy(
    newCommand({
      name: 'history',
      summary: 'the table of experiments, from git: no server is needed',
      examples: ['npx autoresearch history', 'npx autoresearch history nov21 --tsv > results.tsv'],
    }),
  ).option('--tsv', "the field's results.tsv", false);
  return handle(command, schema, async (out, { tsv, ...choice }) => {
    if (tsv && choice.json)
      throw new CliError('usage', '--tsv and --json exclude each other', 'give one of them');
    const [study, ...more] = await (tsv ? one(choice) : findAllShown(choice));
    if (more.length > 0) {
      const studies = [study, ...more].map((each) => ({ study: each, runs: choice.tag === undefined }));
      return answerList(out, studies);
    }
    const { git, config } = study;
    const records = await readLedger(git, config.tag);
    if (tsv) {
      process.stdout.write(resultsTable(config.metric, records));
      return;
    }
    const experiments = records.map(summarize);
    const line = statusLine(rebuild(config.limits, experiments));
    out.answer(
      { study: config, experiments: records },
      experiments.length === 0
        ? `${config.tag}: no experiment is finished yet`
        : `${historyTable(experiments, config)}\n\n${line}`,
    );
  });
}

const one = async (choice: StudyChoice): Promise<[FoundStudy]> => [await findShown(choice)];
