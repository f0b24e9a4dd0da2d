/** `export`: a study as one file, for use without the server and without the lab. */
import type { Command } from 'commander';
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { z } from 'zod';
import type * as ArchiveModule from '../studies/archive';
import type * as HistoriesModule from '../temporal/histories';
import { handle, newCommand } from './command';
import { CliError } from '../studies/errors';
import { goneText } from './render/replay';
import { withServer } from '../studies/with-server';
import { findShown, studyOptions } from '../studies/find-study';

const schema = z.object({ ...studyOptions, tag: studyOptions.tag.unwrap(), file: z.string().min(1) });

export function exportCommand(): Command {
  const command = newCommand({
    name: 'export',
    details:
      'Writes the histories that the server still has, the ledger, and all of the study in git into one gzip’ed tar: ' +
      'JSON as the Temporal UI reads it, and a git bundle to clone from. `replay` works from it without a server.',
    examples: ['npx autoresearch export nov21 nov21.tar.gz', 'tar -xzf nov21.tar.gz'],
  })
    .argument('<TAG>', 'the study')
    .argument('<FILE>', 'where to write; must not be there')
    .option('--lab <DIR>', 'the lab that it belongs to, where several know the tag');
  return handle(command, schema, async (out, { file, ...choice }) => {
    const path = resolve(file);
    if (existsSync(path)) {
      throw new CliError('conflict', `${path} is there already`, 'name another file, or remove it');
    }
    const { git, config } = await findShown(choice);
    const manifest = await withServer(async ({ client }, live) => {
      // Not at the top: they load Temporal's client.
      const { writeArchive }: typeof ArchiveModule = require('../studies/archive');
      const { studyHistories }: typeof HistoriesModule = require('../temporal/histories');
      const own = await live.ownStudy(client, config);
      return writeArchive(path, git, own, studyHistories(client, own.workflowId));
    });
    const count = manifest.histories.length;
    const what = `${path}: study ${config.tag}, ${count === 1 ? '1 history' : `${count} histories`}, ledger and git bundle`;
    out.answer({ file: path, ...manifest }, [what, ...goneText(manifest.ledger)].join('\n'));
  });
}
