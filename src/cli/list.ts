/** `list`: the studies that this host knows, one line each. */
import type { Command } from 'commander';
import { z } from 'zod';
import { statusLine } from '../domain/status';
import { rebuild } from '../domain/study';
import { readSummaries } from '../ledger/summaries';
import { buildId } from '../temporal/build-id';
import { handle, newCommand } from './command';
import type { Output } from './output';
import { table } from './render/table';
import { listStudies, type FoundStudy } from '../studies/find-study';

export function listCommand(): Command {
  const command = newCommand({
    name: 'list',
    examples: ['npx autoresearch list'],
  }).option('--lab <DIR>', 'only those of this lab');
  return handle(command, z.object({ lab: z.string().optional() }), async (out, choice) => {
    await answerList(out, await listStudies(choice));
  });
}

interface Listed {
  study: FoundStudy;
  runs: boolean;
}

/** Also what a command shows of several studies. */
export async function answerList(out: Output, studies: readonly Listed[]): Promise<void> {
  const rows = await Promise.all(studies.map(rowOf));
  const text =
    rows.length === 0
      ? 'no lab that this host knows has a study: begin one with `npx autoresearch start --lab DIR`'
      : table(
          [{ head: 'study' }, { head: 'state' }, { head: 'results' }, { head: 'lab' }],
          rows.map(({ tag, runs, line, lab }) => ({ cells: [tag, runs ? 'open' : 'ended', line, lab] })),
        );
  out.answer({ studies: rows }, text);
}

async function rowOf({ study: { git, config }, runs }: Listed) {
  const { tag, lab, researcher, createdAt, limits } = config;
  const experiments = await readSummaries(git, tag, buildId());
  const line = statusLine(rebuild(limits, experiments));
  return { tag, lab, researcher, createdAt, runs, experiments: experiments.length, line };
}
