/** `ideas`: the backlog of a study and the lessons that were drawn, from git; people add to it and take from it. */
import type { Command } from 'commander';
import { z } from 'zod';
import { backlog, lessons } from '../domain/ideas';
import { readLedger } from '../ledger/ledger';
import { sendRequest } from './send-request';
import { handle, newCommand } from './command';
import { CliError } from '../studies/errors';
import { takeSnapshot } from '../studies/take-snapshot';
import { ideasText } from './render/ideas';
import { findShown, findStudy, studyOptions, takesStudy } from '../studies/find-study';

const schema = z.object({
  ...studyOptions,
  add: z.string().trim().min(1, 'expected a text').optional(),
  drop: z
    .string()
    .regex(/^\d+\.\d+$/, 'expected the id of an idea, such as 12.1')
    .optional(),
});

export function ideasCommand(): Command {
  const command = takesStudy(
    newCommand({
      name: 'ideas',
      details:
        'The backlog that the researcher chooses from, and the lessons that it has drawn. An idea that is added or dropped takes effect with the next experiment.',
      examples: [
        'npx autoresearch ideas',
        'npx autoresearch ideas --add "rotary base 100000"',
        'npx autoresearch ideas nov21 --drop 12.1',
      ],
    }),
  )
    .option('--add <TEXT>', 'an idea for the backlog, at most 2,000 characters')
    .option('--drop <ID>', 'an idea to take off the backlog');
  return handle(command, schema, async (out, { add, drop, ...choice }) => {
    if (add !== undefined && drop !== undefined)
      throw new CliError('usage', '--add and --drop exclude each other', 'give one of them');
    if (add !== undefined) return sendRequest(out, choice, 'idea', { text: add });
    const study = await (drop === undefined ? findShown(choice) : findStudy(choice));
    const { git, config } = study;
    const records = await readLedger(git, config.tag);
    const ideas = backlog(records);
    if (drop !== undefined) {
      if (!ideas.some(({ id }) => id === drop))
        throw new CliError(
          'not-found',
          `the backlog of study ${config.tag} has no idea ${drop}`,
          `see \`npx autoresearch ideas ${config.tag}\``,
        );
      return sendRequest(out, { tag: config.tag, lab: config.lab }, 'idea', { drop });
    }
    const learnt = lessons(records);
    // What was said since the last experiment began is in no record yet.
    const { waiting } = (await takeSnapshot(study)).study;
    out.answer(
      { study: config.tag, ideas, ...learnt, waiting },
      ideasText({ tag: config.tag, ideas, ...learnt, waiting }),
    );
  });
}
