/** `compare`: studies of one lab beside each other, from git alone. */
import { writeFile } from 'node:fs/promises';
import { basename } from 'node:path';
import type { Command } from 'commander';
import { z } from 'zod';
import { bandsOf, differences, figuresOf, type Compared, type StudyFigures } from '../domain/compare';
import { readLedger } from '../ledger/ledger';
import { tagSchema } from '../ledger/refs';
import { handle, newCommand } from './command';
import { CliError } from '../studies/errors';
import { comparison } from './render/compare';
import { findStudies, type FoundStudy } from '../studies/find-study';

const schema = z.object({
  json: z.boolean(),
  tags: z.array(tagSchema),
  lab: z.array(z.string()),
  csv: z.string().optional(),
  force: z.boolean(),
});

export function compareCommand(): Command {
  const command = newCommand({
    name: 'compare',
    details:
      'Studies of one lab beside each other: other researchers, models or programs. Reads ledgers only: no server is needed. ' +
      'Several studies of one researcher and model share a curve with a band of one standard deviation.',
    examples: [
      'npx autoresearch compare nov21 nov21b',
      'npx autoresearch compare nov21 --lab lab-a --lab lab-b --csv curves.csv',
    ],
  })
    .argument('<TAGS...>', 'the studies')
    .option(
      '--lab <DIR>',
      'a lab that they belong to; may be given several times, and then each tag is taken from each',
      (lab: string, labs: string[]) => [...labs, lab],
      [],
    )
    .option('--csv <FILE>', 'write the curves: one row an experiment')
    .option('--force', 'compare what is not comparable; the answer says so', false);
  return handle(command, schema, async (out, { tags, lab, csv, force }) => {
    const studies = await Promise.all(named(await findStudies([...new Set(tags)], lab)).map(read));
    if (studies.length < 2) {
      throw new CliError('usage', 'one study has nothing to be compared with', 'name two or more tags');
    }
    const differing = differences(studies);
    if (differing.length > 0 && !force) {
      throw new CliError(
        'conflict',
        `these studies differ in what scores depend on: ${differing.join('; ')}`,
        'compare studies of one lab, budget and device, or add --force to see them side by side all the same',
      );
    }
    const figures = studies.map(figuresOf);
    const bands = bandsOf(figures);
    if (csv !== undefined) await writeCurves(csv, figures);
    out.answer(
      { comparable: differing.length === 0, differing, studies: figures, bands },
      [comparison(figures, bands, differing), ...(csv === undefined ? [] : [`curves: ${csv}`])].join('\n\n'),
    );
  });
}

interface NamedStudy extends FoundStudy {
  name: string;
}

/** Where several labs have the tag, the lab's name tells the studies apart. */
function named(studies: readonly FoundStudy[]): NamedStudy[] {
  return studies.map((study) => {
    const { tag, lab } = study.config;
    const isOnly = studies.filter(({ config }) => config.tag === tag).length === 1;
    return { ...study, name: isOnly ? tag : `${tag} in ${basename(lab)}` };
  });
}

async function read({ name, git, config }: NamedStudy): Promise<Compared> {
  return { name, config, records: await readLedger(git, config.tag) };
}

const cell = (text: string) => (/[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

async function writeCurves(file: string, figures: readonly StudyFigures[]): Promise<void> {
  const rows = figures.flatMap(({ name, kind, curve }) =>
    curve.map(({ experiment, gpuHours, gain }) =>
      [cell(name), cell(kind), experiment, gpuHours, gain].join(','),
    ),
  );
  await writeFile(file, `${['study,researcher,experiment,gpu_hours,gain', ...rows].join('\n')}\n`);
}
