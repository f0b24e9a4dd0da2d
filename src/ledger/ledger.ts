/**
 * The ledger: the branch `autoresearch-ledger/<tag>` with `study.json`, `experiments/0042.json` and `results.tsv`, one
 * commit for each experiment. It is the truth about a study; everything else can be made from it.
 */
import type { z } from 'zod';
import { experimentName, type ExperimentRecord } from '../domain/experiment';
import type { StudyConfig } from '../domain/study';
import { moveLedger } from './branch';
import { RefConflict, type Git } from './git';
import {
  editTree,
  messageText,
  listTree,
  readBlobs,
  readText,
  writeBlob,
  writeCommit,
  type TreeChange,
} from './objects';
import { anyRecordSchema, anyStudySchema, recordSchema, studySchema } from './records';
import { ledgerRef } from './refs';
import { extendTable, resultsTable } from './results-tsv';

const STUDY = 'study.json';
export const RESULTS = 'results.tsv';
export const recordPath = (number: number): string => `experiments/${experimentName(number)}.json`;
const RECORD_PATH = /^experiments\/(\d{4,})\.json$/;
/** Each lost race means that another writer went ahead, so that this many in a row is no race. */
const ATTEMPTS = 50;

/** The ledger holds something else than it should; the message names the file and what to do. */
export class LedgerError extends Error {
  override name = 'LedgerError';
  /** @param why for a damaged file: what is wrong with it, alone */
  constructor(
    message: string,
    readonly why = message,
  ) {
    super(message);
  }
}

export interface Appended {
  /** The commit of the ledger branch that brought the record. */
  commit: string;
  /** The record that counts: an earlier one of the same number wins. */
  record: ExperimentRecord;
}

/** `study.json`, or null if there is no such study. @throws LedgerError */
export async function readStudy(git: Git, tag: string): Promise<StudyConfig | null> {
  const text = await readText(git, ledgerRef(tag), STUDY);
  return text === null ? null : parse(anyStudySchema, text, git, tag, STUDY);
}

/** All records in their order, read by two git processes however many there are. @throws LedgerError */
export async function readLedger(git: Git, tag: string): Promise<ExperimentRecord[]> {
  const head = await git.resolve(ledgerRef(tag));
  return head === null ? [] : readRecordsAt(git, tag, head);
}

/** The experiments that have a record, whatever it says. */
export async function recordedNumbers(git: Git, tag: string): Promise<number[]> {
  const head = await git.resolve(ledgerRef(tag));
  return head === null ? [] : (await recordEntries(git, head)).map(({ number }) => number);
}

/** One record, or null. @throws LedgerError */
export async function readRecord(git: Git, tag: string, number: number): Promise<ExperimentRecord | null> {
  const head = await git.resolve(ledgerRef(tag));
  return head === null ? null : readRecordAt(git, tag, head, number);
}

/** Begins the ledger of a study, or finds it begun: then what it holds stays, for limits may have been changed since. */
export async function openLedger(git: Git, study: StudyConfig): Promise<StudyConfig> {
  const found = await readStudy(git, study.tag);
  if (found !== null) return found;
  const files = { [STUDY]: json(studySchema, study), [RESULTS]: resultsTable(study.metric, []) };
  const tree = await editTree(git, null, await asChanges(git, files));
  const message = `Begin study ${study.tag}\n\nStudy: ${study.tag}\n`;
  const commit = await writeCommit(git, { tree, parent: null, message, at: study.createdAt });
  await git.moveRef(ledgerRef(study.tag), commit, null).catch((error: unknown) => {
    if (!(error instanceof RefConflict)) throw error;
  });
  return (await readStudy(git, study.tag)) ?? study;
}

/**
 * Brings `study.json` up to date in a commit of its own, if it says something else.
 * @throws LedgerError if there is no ledger
 */
export async function saveStudy(git: Git, study: StudyConfig): Promise<void> {
  const ref = ledgerRef(study.tag);
  const content = json(studySchema, study);
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const head = await git.resolve(ref);
    if (head === null) throw noLedger(git, study.tag);
    if ((await readText(git, head, STUDY)) === content) return;
    const tree = await editTree(git, head, await asChanges(git, { [STUDY]: content }));
    const message = `Keep the settings of study ${study.tag}, and what waits for its next proposal\n\nStudy: ${study.tag}\n`;
    const commit = await writeCommit(git, { tree, parent: head, message, at: new Date().toISOString() });
    try {
      await moveLedger(git, study.tag, commit, head);
      return;
    } catch (error) {
      if (!(error instanceof RefConflict)) throw error;
    }
  }
  throw movedTooOften(ref, 'study.json');
}

function noLedger(git: Git, tag: string): LedgerError {
  return new LedgerError(
    `${git.directory} has no ledger for study ${tag}: fetch it, or start the study again`,
  );
}

function movedTooOften(ref: string, what: string): LedgerError {
  return new LedgerError(
    `${ref} moved ${ATTEMPTS} times while ${what} was written: see what else writes to it`,
  );
}

/**
 * Adds a record, exactly once: if its number has one already, that one is given back. Writers that race lose
 * nothing; each takes its turn. `study.json` is brought up to date in the same commit.
 * @throws LedgerError if there is no ledger
 */
export async function appendRecord(
  git: Git,
  study: StudyConfig,
  record: ExperimentRecord,
): Promise<Appended> {
  const ref = ledgerRef(study.tag);
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const head = await git.resolve(ref);
    if (head === null) throw noLedger(git, study.tag);
    const earlier = await readRecordAt(git, study.tag, head, record.number);
    if (earlier !== null) {
      const commit = await git.text(['log', '-1', '--format=%H', head, '--', recordPath(record.number)]);
      return { commit, record: earlier };
    }
    const commit = await writeRecord(git, study, record, head);
    try {
      await moveLedger(git, study.tag, commit, head);
      return { commit, record };
    } catch (error) {
      if (!(error instanceof RefConflict)) throw error;
    }
  }
  throw movedTooOften(ref, `record ${record.number}`);
}

async function writeRecord(
  git: Git,
  study: StudyConfig,
  record: ExperimentRecord,
  head: string,
): Promise<string> {
  const { tag, metric } = study;
  const files = {
    [recordPath(record.number)]: json(recordSchema, record),
    [STUDY]: json(studySchema, study),
    [RESULTS]: await tableWith(git, tag, metric, record, head),
  };
  const tree = await editTree(git, head, await asChanges(git, files));
  const trailers = `Study: ${tag}\nExperiment: ${experimentName(record.number)}\nCandidate: ${record.commit}\n`;
  const message = `${experimentName(record.number)} ${record.verdict}: ${record.title}\n\n${messageText(record.detail)}\n\n${trailers}`;
  return writeCommit(git, { tree, parent: head, message, at: record.finishedAt });
}

/** Reading all records again for each new one would make a long study slower and slower. */
async function tableWith(
  git: Git,
  tag: string,
  metric: string,
  record: ExperimentRecord,
  head: string,
): Promise<string> {
  const table = await readText(git, head, RESULTS);
  const recorded = await countRecords(git, head);
  const extended = table === null ? null : extendTable(table, metric, record, recorded);
  return extended ?? resultsTable(metric, [...(await readRecordsAt(git, tag, head)), record]);
}

async function asChanges(git: Git, files: Record<string, string>): Promise<TreeChange[]> {
  const changes: TreeChange[] = [];
  for (const [path, content] of Object.entries(files)) {
    changes.push({ path, mode: '100644', id: await writeBlob(git, content) });
  }
  return changes;
}

async function countRecords(git: Git, head: string): Promise<number> {
  const names = await git.text(['ls-tree', '-z', '--name-only', '--full-tree', head, 'experiments/']);
  return names.split('\0').filter((name) => RECORD_PATH.test(name)).length;
}

export async function recordEntries(
  git: Git,
  head: string,
): Promise<{ path: string; id: string; number: number }[]> {
  return (await listTree(git, head)).flatMap(({ path, id }) => {
    const number = RECORD_PATH.exec(path)?.[1];
    return number === undefined ? [] : [{ path, id, number: Number(number) }];
  });
}

async function readRecordsAt(git: Git, tag: string, head: string): Promise<ExperimentRecord[]> {
  const entries = await recordEntries(git, head);
  const blobs = await readBlobs(
    git,
    entries.map(({ id }) => id),
  );
  const records = entries.map(({ path, number }, index) =>
    parseRecord(git, tag, path, number, String(blobs[index])),
  );
  return records.toSorted((a, b) => a.number - b.number);
}

async function readRecordAt(
  git: Git,
  tag: string,
  head: string,
  number: number,
): Promise<ExperimentRecord | null> {
  const path = recordPath(number);
  const text = await readText(git, head, path);
  return text === null ? null : parseRecord(git, tag, path, number, text);
}

/** A record as `path` holds it. @throws LedgerError */
export function parseRecord(
  git: Git,
  tag: string,
  path: string,
  number: number,
  text: string,
): ExperimentRecord {
  const record = parse(anyRecordSchema, text, git, tag, path);
  if (record.number === number && record.study === tag) return record;
  throw broken(git, tag, path, `it says experiment ${record.number} of study ${record.study}`);
}

function parse<T>(schema: z.ZodType<T>, text: string, git: Git, tag: string, path: string): T {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw broken(git, tag, path, 'it is not JSON');
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw broken(git, tag, path, `${issue?.path.join('.') ?? '(top)'}: ${issue?.message ?? 'not valid'}`);
}

function broken(git: Git, tag: string, path: string, why: string): LedgerError {
  const branch = ledgerRef(tag).slice('refs/heads/'.length);
  return new LedgerError(
    `${path} on ${branch} of ${git.directory} is damaged: ${why}. See \`git log -p ${branch} -- ${path}\`, and put the last good version back`,
    why,
  );
}

function json<T>(schema: z.ZodType<T>, value: T): string {
  return `${JSON.stringify(schema.parse(value), null, 2)}\n`;
}
