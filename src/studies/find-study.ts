/** Finds the study that a command means: by its tag, by its lab, or the only one that runs. */
import type { Command } from 'commander';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import type { StudyConfig } from '../domain/study';
import type { Git } from '../ledger/git';
import { openRepository } from '../labs/lab';
import { LedgerError, readStudy } from '../ledger/ledger';
import { isTagKnown, studyTags, tagSchema } from '../ledger/refs';
import { labId } from '../process/paths';
import { CliError } from './errors';
import { knownLabs } from './known-labs';
import { withServer } from './with-server';

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
    .argument(
      '[TAG]',
      'the study; by default the one that runs, for commands that only show something also the latest',
    )
    .option('--lab <DIR>', 'the lab that it belongs to, where several know the tag');
}

/**
 * Finds the study to act on: the one of that tag, or the only one that runs.
 * @throws CliError that lists the studies there are, when none or several fit
 */
export async function findStudy(choice: StudyChoice): Promise<FoundStudy> {
  const fitting = await fittingStudies(choice);
  const [first, ...more] = fitting;
  if (more.length === 0) return first;
  if (choice.tag !== undefined) throw severalLabs(choice.tag, fitting);
  const running = await runningOf(fitting);
  const [only, ...others] = running;
  if (only !== undefined && others.length === 0) return only;
  const why = only === undefined ? 'none of these studies runs' : 'several studies run';
  throw new CliError(
    'usage',
    `${why}, so it is not clear which one is meant:\n${list(fitting, running)}`,
    'name its tag',
  );
}

/**
 * Finds the study to show: the one of that tag, or the latest one that runs, or the latest.
 * @throws CliError if there is none, or several labs have the tag
 */
export async function findShown(choice: StudyChoice): Promise<FoundStudy> {
  const [first, ...more] = await findAllShown(choice);
  if (more.length > 0 && choice.tag !== undefined) throw severalLabs(choice.tag, [first, ...more]);
  return first;
}

/**
 * The same, but all of them where several fit: those of that tag, or those that run.
 * @throws CliError if there is none
 */
export async function findAllShown(choice: StudyChoice): Promise<Some> {
  const [latest, ...more] = await fittingStudies(choice);
  if (more.length === 0 || choice.tag !== undefined) return [latest, ...more];
  const [first, ...others] = await runningOf([latest, ...more]);
  return first === undefined ? [latest] : [first, ...others];
}

/** Every study that fits, the latest first, and whether it runs; none where there is none. */
export async function listStudies(choice: StudyChoice): Promise<{ study: FoundStudy; runs: boolean }[]> {
  const { studies } =
    choice.lab === undefined
      ? await studiesOfAll(await knownLabs(), undefined)
      : await studiesIn(choice.lab, undefined);
  const running = new Set(await runningOf(studies));
  return latestFirst(studies).map((study) => ({ study, runs: running.has(study) }));
}

type Some = [FoundStudy, ...FoundStudy[]];

/** The latest first. @throws CliError if there is none */
async function fittingStudies({ tag, lab }: StudyChoice): Promise<Some> {
  const { studies, damage } = lab === undefined ? await studiesHere(tag) : await studiesIn(lab, tag);
  const fitting = tag === undefined ? studies : studies.filter((study) => study.config.tag === tag);
  const [first, ...more] = latestFirst(fitting);
  if (first === undefined) throw damage ?? nothing(studies, tag);
  return [first, ...more];
}

const latestFirst = (studies: readonly FoundStudy[]): FoundStudy[] =>
  studies.toSorted((a, b) => b.config.createdAt.localeCompare(a.config.createdAt));

const severalLabs = (tag: string, studies: FoundStudy[]): CliError =>
  new CliError('usage', `several labs have a study ${tag}:\n${list(studies)}`, 'name one with --lab DIR');

/**
 * Finds the studies of these tags: with labs, each tag in each of them that has it.
 * @throws CliError as `findStudy` does, for the first tag that no study or more than one fits
 */
export async function findStudies(tags: readonly string[], labs: readonly string[]): Promise<FoundStudy[]> {
  if (labs.length === 0) return Promise.all(tags.map((tag) => findStudy({ tag })));
  const places = [...new Set(labs)];
  const found = await Promise.all(
    tags.map(async (tag) => {
      const known = await Promise.all(places.map((lab) => studiesIn(lab, tag)));
      const studies = known.flatMap((each) => each.studies);
      const fitting = studies.filter(({ config }) => config.tag === tag);
      if (fitting.length > 0) return fitting;
      throw known.find(({ damage }) => damage !== null)?.damage ?? nothing(studies, tag);
    }),
  );
  return found.flat();
}

/** The lab of the current folder; elsewhere all labs that this host knows. */
async function labsHere(): Promise<string[]> {
  const here = process.cwd();
  return existsSync(join(here, 'lab.yaml')) && existsSync(join(here, '.git')) ? [here] : knownLabs();
}

interface Known {
  studies: FoundStudy[];
  /** Why the ledger of the study that is meant cannot be read; a damaged one hides no other. */
  damage: Error | null;
}

/** A lab that was remembered and is no repository any more hides no other one. */
async function studiesHere(wanted: string | undefined): Promise<Known> {
  return studiesOfAll(await labsHere(), wanted);
}

async function studiesOfAll(labs: readonly string[], wanted: string | undefined): Promise<Known> {
  const nothingThere: Known = { studies: [], damage: null };
  const found = await Promise.all(labs.map((lab) => studiesIn(lab, wanted).catch(() => nothingThere)));
  return {
    studies: found.flatMap(({ studies }) => studies),
    damage: found.find(({ damage }) => damage !== null)?.damage ?? null,
  };
}

async function studiesIn(lab: string, wanted: string | undefined): Promise<Known> {
  const git = await openRepository(lab);
  const known: Known = { studies: [], damage: null };
  for (const tag of await studyTags(git)) {
    try {
      const study = await readFound(git, tag);
      if (study !== null) known.studies.push(study);
    } catch (error) {
      if (!(error instanceof LedgerError)) throw error;
      if (tag === wanted) known.damage = error;
    }
  }
  return known;
}

/** The lab that knows something of a study whose ledger is damaged or gone; null when none does, or several do. */
export async function findRuins({ tag, lab }: StudyChoice): Promise<{ git: Git; tag: string } | null> {
  if (tag === undefined) return null;
  const labs = lab === undefined ? await labsHere() : [lab];
  const found = await Promise.all(
    labs.map(async (place) => {
      const git = await openRepository(place).catch(() => null);
      return git !== null && (await isTagKnown(git, tag)) ? [{ git, tag }] : [];
    }),
  );
  const [only = null, ...more] = found.flat();
  return more.length === 0 ? only : null;
}

async function readFound(git: Git, tag: string): Promise<FoundStudy | null> {
  const config = await readStudy(git, tag);
  if (config === null) return null;
  const here = labId(git.directory);
  if (config.labId === here) return { git, config: { ...config, lab: git.directory } };
  // Fetched, copied or moved: the workflow of that name belongs to another lab, and the command line to its owner.
  const workflowId = `study-${tag}-${here}`;
  return {
    git,
    config: { ...config, tag, workflowId, lab: git.directory, labId: here, researcherCommand: null },
  };
}

/** Those whose workflows have not ended. Without a server none runs. */
async function runningOf(studies: FoundStudy[]): Promise<FoundStudy[]> {
  try {
    return await withServer(async ({ client }, live) => {
      const ids = new Set(await live.runningStudies(client));
      const named = studies.filter(({ config }) => ids.has(config.workflowId));
      const own = await Promise.all(named.map(({ config }) => live.ownStudy(client, config)));
      return named.filter((study, index) => own[index]?.workflowId === study.config.workflowId);
    });
  } catch (error) {
    if (error instanceof Error && error.name === 'ServerUnavailable') return [];
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

function list(studies: FoundStudy[], running: FoundStudy[] = []): string {
  return latestFirst(studies)
    .map(
      (study) =>
        `  ${study.config.tag.padEnd(12)} ${study.config.lab}${running.includes(study) ? ' (running)' : ''}`,
    )
    .join('\n');
}
