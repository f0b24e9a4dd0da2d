/** `history`: every experiment of a study. It reads git and needs no server. */
import type { Command } from 'commander';
import { z } from 'zod';
import { rebuild } from '../domain/study';
import { statusLine } from '../domain/status';
import { readLedger } from '../ledger/ledger';
import { resultsTable } from '../ledger/results-tsv';
import { readSummaries } from '../ledger/summaries';
import { buildId } from '../temporal/build-id';
import { handle, newCommand } from './command';
import { CliError } from '../studies/errors';
import { answerList } from './list';
import { historyTable } from './render/history';
import { terminalWidth } from './render/table';
import { wrap } from './render/wrap';
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
    if (tsv) {
      process.stdout.write(resultsTable(config.metric, await readLedger(git, config.tag)));
      return;
    }
    if (out.json) {
      out.answer({ study: config, experiments: await readLedger(git, config.tag) }, '');
      return;
    }
    const experiments = await readSummaries(git, config.tag, buildId());
    const line = statusLine(rebuild(config.limits, experiments));
    out.answer(
      null,
      experiments.length === 0
        ? `${config.tag}: no experiment is finished yet`
        : `${historyTable(experiments, config)}\n\n${wrap(line, terminalWidth())}`,
    );
  });
}

const one = async (choice: StudyChoice): Promise<[FoundStudy]> => [await findShown(choice)];
