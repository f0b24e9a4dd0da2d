/** Which study is meant: by its tag, by its lab, or because it is the only one that runs. */
import type { Command } from 'commander';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import type { StudyConfig } from '../domain/study';
import type { Git } from '../lab/git';
import { openRepository } from '../lab/lab';
import { readStudy } from '../lab/ledger';
import { studyTags, tagSchema } from '../lab/refs';
import { labId } from '../process/paths';
import { CliError } from './errors';
import { knownLabs } from './known-labs';
import { withServer } from './server';

/** A study that the ledger of a lab on this host knows. */
export interface FoundStudy {
  git: Git;
  /** As the ledger has it; `lab` and `labId` are this host's, for the study may have been fetched. */
  config: StudyConfig;
}

export const studyOptions = { json: z.boolean(), tag: tagSchema.optional(), lab: z.string().optional() };

/** `N` of `show` and `logs`. */
export const experimentNumber = z.coerce
  .number("expected an experiment's number, such as 7")
  .int("expected an experiment's number, such as 7")
  .nonnegative("expected an experiment's number, such as 7");

export interface StudyChoice {
  tag?: string | undefined;
  lab?: string | undefined;
}

/** Adds `[TAG]` and `--lab DIR` to a command. */
export function takesStudy(command: Command): Command {
  return command
    .argument('[TAG]', 'the study; may be left out while only one runs')
    .option('--lab <DIR>', 'the lab that it belongs to, where several know the tag');
}

/**
 * Finds the study that is meant.
 * @throws CliError that lists the studies there are, when none or several fit
 */
export async function findStudy({ tag, lab }: StudyChoice): Promise<FoundStudy> {
  const studies = lab === undefined ? await studiesHere() : await studiesIn([lab]);
  const fitting = tag === undefined ? studies : studies.filter((study) => study.config.tag === tag);
  const [first, ...more] = fitting;
  if (first === undefined) throw nothing(studies, tag);
  if (more.length === 0) return first;
  if (tag !== undefined) {
    throw new CliError(
      'usage',
      `several labs have a study ${tag}:\n${list(fitting)}`,
      'name one with --lab DIR',
    );
  }
  const running = await runningIds();
  const [only, ...others] = fitting.filter(({ config }) => running.has(config.workflowId));
  if (only !== undefined && others.length === 0) return only;
  const why = only === undefined ? 'none of these studies runs' : 'several studies run';
  throw new CliError('usage', `${why}, so which is meant?\n${list(fitting, running)}`, 'name its tag');
}

/**
 * Finds the studies of these tags: with labs, each tag in each of them that has it.
 * @throws CliError as `findStudy` does, for the first tag that no study or more than one fits
 */
export async function findStudies(tags: readonly string[], labs: readonly string[]): Promise<FoundStudy[]> {
  if (labs.length === 0) return Promise.all(tags.map((tag) => findStudy({ tag })));
  const studies = await studiesIn([...new Set(labs)]);
  return tags.flatMap((tag) => {
    const fitting = studies.filter(({ config }) => config.tag === tag);
    if (fitting.length === 0) throw nothing(studies, tag);
    return fitting;
  });
}

/** The lab of the current folder; elsewhere all labs that this host knows. */
async function labsHere(): Promise<string[]> {
  const here = process.cwd();
  return existsSync(join(here, 'lab.yaml')) && existsSync(join(here, '.git')) ? [here] : knownLabs();
}

/** A lab that was remembered and is no repository any more hides no other one. */
async function studiesHere(): Promise<FoundStudy[]> {
  const found = await Promise.all((await labsHere()).map(async (lab) => studiesIn([lab]).catch(() => [])));
  return found.flat();
}

async function studiesIn(labs: readonly string[]): Promise<FoundStudy[]> {
  const found = await Promise.all(
    labs.map(async (lab) => {
      const git = await openRepository(lab);
      const tags = await studyTags(git);
      return Promise.all(tags.map((tag) => readFound(git, tag)));
    }),
  );
  return found.flat().filter((study) => study !== null);
}

async function readFound(git: Git, tag: string): Promise<FoundStudy | null> {
  const config = await readStudy(git, tag);
  if (config === null) return null;
  const here = labId(git.directory);
  if (config.labId === here) return { git, config: { ...config, lab: git.directory } };
  // Fetched, copied or moved: the workflow of that name is another lab's, and its command line was somebody else's.
  const workflowId = `study-${tag}-${here}`;
  return {
    git,
    config: { ...config, tag, workflowId, lab: git.directory, labId: here, researcherCommand: null },
  };
}

/** The workflows of studies that have not ended. Without a server none runs. */
async function runningIds(): Promise<Set<string>> {
  try {
    return new Set(await withServer(({ client }, live) => live.runningStudies(client)));
  } catch (error) {
    if (error instanceof Error && error.name === 'ServerUnavailable') return new Set();
    throw error;
  }
}

function nothing(studies: FoundStudy[], tag: string | undefined): CliError {
  if (studies.length === 0) {
    return new CliError(
      'not-found',
      'no lab that this host knows has a study',
      'begin one: `npx autoresearch start --lab DIR`',
    );
  }
  return new CliError(
    'not-found',
    `there is no study ${tag}; there are:\n${list(studies)}`,
    'name one of these',
  );
}

function list(studies: FoundStudy[], running = new Set<string>()): string {
  return studies
    .toSorted((a, b) => b.config.createdAt.localeCompare(a.config.createdAt))
    .map(
      ({ config: { tag, lab, workflowId } }) =>
        `  ${tag.padEnd(12)} ${lab}${running.has(workflowId) ? ' (running)' : ''}`,
    )
    .join('\n');
}
