/** `show`: everything that is known of one experiment, from git and from what its runs left on this host. */
import type { Command } from 'commander';
import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { lastLines } from '../process/excerpt';
import { diff } from '../ledger/commits';
import { findProposal, readProposal } from '../ledger/proposals';
import { readRecord } from '../ledger/ledger';
import { experimentRef } from '../ledger/refs';
import { handle, newCommand } from './command';
import { CliError } from '../studies/errors';
import { showText, type Shown } from './render/show';
import {
  experimentNumber,
  findShown,
  studyOptions,
  takesStudy,
  type FoundStudy,
} from '../studies/find-study';
import { taskLogs } from '../studies/task-logs';

const TAIL_LINES = 15;

const schema = z.object({ ...studyOptions, n: experimentNumber });

export function showCommand(): Command {
  const command = takesStudy(
    newCommand({
      name: 'show',
      examples: ['npx autoresearch show 7', 'npx autoresearch show 7 nov21 --json'],
    }).argument('<N>', "the experiment's number"),
  );
  return handle(command, schema, async (out, { n, ...choice }) => {
    const shown = await gather(await findShown(choice), n);
    out.answer(shown, showText(shown));
  });
}

async function gather(study: FoundStudy, number: number): Promise<Shown> {
  const { git, config } = study;
  const [record, commit, proposal, tasks] = await Promise.all([
    readRecord(git, config.tag, number),
    git.resolve(experimentRef(config.tag, number)),
    findProposal(git, config.tag, number),
    taskLogs(config, number),
  ]);
  if (record === null && commit === null && proposal === null && tasks.length === 0) {
    throw new CliError(
      'not-found',
      `study ${config.tag} has no experiment ${number}`,
      `see \`npx autoresearch history ${config.tag}\``,
    );
  }
  const changes = record?.commit ?? commit;
  // A baseline's commit may be the base itself, whose diff is the user's last change.
  const patch = changes === null || number === 0 ? '' : await diff(git, changes);
  const proposed =
    proposal !== null && (record === null || patch === '') ? await readProposal(git, proposal) : null;
  const last = tasks.findLast(({ kind }) => kind === (record?.reason === 'unscorable' ? 'score' : 'train'));
  return {
    tag: config.tag,
    number,
    metric: config.metric,
    record,
    proposed: record === null ? proposed : null,
    commit: changes,
    diff: patch,
    edits: patch === '' ? (proposed?.edits ?? []) : [],
    log: last === undefined ? null : { path: last.log, tail: await tailOf(last.log) },
  };
}

/** The field's summary block, which `---` begins; what libraries print at exit would hide it. Without one, the end. */
async function tailOf(path: string): Promise<string> {
  const text = await readFile(path, 'utf8').catch(() => '');
  const lines = text.trimEnd().split('\n');
  const begin = lines.findLastIndex((line) => line.trimEnd() === '---') + 1;
  if (begin === 0) return lastLines(text, TAIL_LINES);
  const end = lines.findIndex((line, index) => index >= begin && !/^\w+:\s+-?[\d.]+$/.test(line.trimEnd()));
  return lines.slice(begin, end < 0 ? undefined : end).join('\n');
}
