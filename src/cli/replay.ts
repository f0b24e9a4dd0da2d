/** `replay`: would today's workflow code do with these histories what was done? */
import type { Command } from 'commander';
import { existsSync, statSync } from 'node:fs';
import { z } from 'zod';
import { recordedNumbers } from '../ledger/ledger';
import { tagSchema } from '../ledger/refs';
import { openArchive } from '../studies/archive';
import { workflowBundle } from '../temporal/codec';
import { coverageOf, studyHistories, type Coverage, type RunHistory } from '../temporal/histories';
import { replay, silenceSdk, type Replayed } from '../temporal/replay';
import { handle, newCommand } from './command';
import { CliError, EXIT_CODES } from '../studies/errors';
import { replayedText } from './render/replay';
import { withServer } from '../studies/with-server';
import { findShown, studyOptions } from '../studies/find-study';

const schema = z.object({ ...studyOptions, tag: z.string().optional() });

export function replayCommand(): Command {
  const command = newCommand({
    name: 'replay',
    details:
      'Replays the histories of a study and of its experiments, from the server or from an archive that `export` made, and ' +
      'names the event at which the code would now do something else. A study may run meanwhile.',
    examples: ['npx autoresearch replay nov21', 'npx autoresearch replay nov21.tar.gz'],
  })
    .argument('[TAG]', 'the study, or the file of an archive; may be left out while only one study runs')
    .option('--lab <DIR>', 'the lab that the study belongs to, where several know the tag');
  return handle(command, schema, async (out, { tag: what, ...choice }) => {
    silenceSdk();
    const { replayed, ledger } = isFile(what) ? await fromArchive(what) : await fromServer(what, choice.lab);
    const failed = replayed.filter(({ failure }) => failure !== null);
    out.answer({ agrees: failed.length === 0, ledger, histories: replayed }, replayedText(replayed, ledger));
    if (failed.length > 0) process.exitCode = EXIT_CODES.conflict;
    // A stuck replay worker cannot be shut down, and would hold this process open.
    if (failed.some(({ failure }) => failure?.kind === 'stuck')) {
      process.stdout.write('', () => process.exit(EXIT_CODES.conflict));
    }
  });
}

const isFile = (what: string | undefined): what is string =>
  what !== undefined && existsSync(what) && statSync(what).isFile();

/** What was replayed, and how much of the study that is; null where an archive does not say. */
interface Found {
  replayed: Replayed[];
  ledger: Coverage | null;
}

async function fromArchive(file: string): Promise<Found> {
  const archive = await openArchive(file);
  try {
    return { replayed: await collect(archive.histories()), ledger: archive.manifest.ledger ?? null };
  } finally {
    await archive.close();
  }
}

async function fromServer(what: string | undefined, lab: string | undefined): Promise<Found> {
  const tag = tagSchema.optional().safeParse(what);
  if (!tag.success) {
    throw new CliError(
      'not-found',
      `"${what ?? ''}" is neither a file nor a study's tag`,
      'name a study, or the archive that `export` wrote',
    );
  }
  const { git, config } = await findShown({ tag: tag.data, lab });
  const recorded = await recordedNumbers(git, config.tag);
  return withServer(async ({ client }, live) => {
    const { workflowId } = await live.ownStudy(client, config);
    const replayed = await collect(studyHistories(client, workflowId));
    if (replayed.length > 0) return { replayed, ledger: coverageOf(workflowId, recorded, replayed) };
    throw new CliError(
      'not-found',
      `the server has no history of study ${config.tag} any more: closed workflows go at the namespace's retention`,
      'replay an archive that `export` wrote while it had',
    );
  });
}

async function collect(histories: AsyncIterable<RunHistory>): Promise<Replayed[]> {
  const replayed: Replayed[] = [];
  for await (const one of replay(workflowBundle(), histories)) replayed.push(one);
  return replayed;
}
