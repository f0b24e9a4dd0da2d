/**
 * Everything that git holds of a study, as it is at one moment, read by a handful of git processes however long
 * the study is. Nothing is judged here, and nothing that is damaged stops the reading.
 */
import type { ExperimentRecord } from '../../domain/experiment';
import type { StudyConfig } from '../../domain/study';
import { proposalSchema, type Proposal } from '../proposals';
import type { Git } from '../git';
import { LedgerError, parseRecord, readStudy, recordPath, RESULTS } from '../ledger';
import { findObjects, listTree, readText } from '../objects';
import { baseRef, branchRef, ledgerRef, namespace } from '../refs';

/** A commit of the ledger branch. */
export interface LedgerCommit {
  id: string;
  /** null for the first. */
  parent: string | null;
  /** Its date, in whole seconds since 1970. */
  seconds: number;
  message: string;
}

/** A commit as git holds it. */
export interface CommitObject {
  parents: string[];
  message: string;
}

/** A file under `experiments/` that is no record, or a damaged one. */
export interface BadFile {
  path: string;
  /** The experiment that its name means; null for a foreign name. */
  experiment: number | null;
  why: string;
}

export interface StudyInGit {
  tag: string;
  /** null where study.json is damaged; `studyDamage` says how. */
  study: StudyConfig | null;
  studyDamage: string | null;
  /** Where the refs stood: null for one that is not there. */
  branch: string | null;
  base: string | null;
  ledger: string | null;
  /** By the number that stands in the ref's name: `0042`. */
  experimentRefs: Map<string, string>;
  proposalRefs: Map<string, string>;
  crashedRefs: Map<string, string>;
  /** By number, ascending. */
  records: ExperimentRecord[];
  bad: BadFile[];
  results: string | null;
  /** Newest first. */
  ledgerCommits: LedgerCommit[];
  /** Of records and of experiment refs; null for an object that is not there or is no commit. */
  commits: Map<string, CommitObject | null>;
  /** By the name in the ref; null for an object that is not there or is no proposal. */
  proposals: Map<string, Proposal | null>;
}

export async function readStudyInGit(git: Git, tag: string): Promise<StudyInGit> {
  const refs = await readRefs(git, tag);
  const ledger = refs.get(ledgerRef(tag)) ?? null;
  const experimentRefs = refsUnder(refs, `${namespace(tag)}/exp/`);
  const proposalRefs = refsUnder(refs, `${namespace(tag)}/proposal/`);
  const [study, { records, bad }, results, ledgerCommits, proposals] = await Promise.all([
    readStudyFile(git, tag),
    ledger === null ? { records: [], bad: [] } : readRecordFiles(git, tag, ledger),
    ledger === null ? null : readText(git, ledger, RESULTS),
    ledger === null ? [] : readLedgerCommits(git, ledger),
    readProposals(git, proposalRefs),
  ]);
  const hashes = new Set([...records.map(({ commit }) => commit), ...experimentRefs.values()]);
  return {
    tag,
    ...study,
    branch: refs.get(branchRef(tag)) ?? null,
    base: refs.get(baseRef(tag)) ?? null,
    ledger,
    experimentRefs,
    proposalRefs,
    crashedRefs: refsUnder(refs, `${namespace(tag)}/crashed/`),
    records,
    bad,
    results,
    ledgerCommits,
    commits: await readCommits(git, [...hashes]),
    proposals,
  };
}

async function readRefs(git: Git, tag: string): Promise<Map<string, string>> {
  const places = [branchRef(tag), ledgerRef(tag), `${namespace(tag)}/`];
  const listing = await git.text(['for-each-ref', '--format=%(objectname) %(refname)', ...places]);
  const lines = listing.split('\n').filter(Boolean);
  return new Map(lines.map((line) => [line.slice(line.indexOf(' ') + 1), line.slice(0, line.indexOf(' '))]));
}

function refsUnder(refs: Map<string, string>, folder: string): Map<string, string> {
  const inside = [...refs].filter(([ref]) => ref.startsWith(folder));
  return new Map(inside.map(([ref, id]) => [ref.slice(folder.length), id]));
}

async function readStudyFile(git: Git, tag: string): Promise<Pick<StudyInGit, 'study' | 'studyDamage'>> {
  try {
    const study = await readStudy(git, tag);
    if (study === null) return { study, studyDamage: 'it is not there' };
    return study.tag === tag
      ? { study, studyDamage: null }
      : { study: null, studyDamage: `it is study ${study.tag}'s` };
  } catch (error) {
    if (!(error instanceof LedgerError)) throw error;
    return { study: null, studyDamage: error.why };
  }
}

async function readRecordFiles(
  git: Git,
  tag: string,
  ledger: string,
): Promise<Pick<StudyInGit, 'records' | 'bad'>> {
  const entries = (await listTree(git, ledger)).filter(({ path }) => path.startsWith('experiments/'));
  const objects = await findObjects(
    git,
    entries.map(({ id }) => id),
  );
  const records: ExperimentRecord[] = [];
  const bad: BadFile[] = [];
  for (const [index, { path }] of entries.entries()) {
    const number = numberIn(path);
    if (number === null || path !== recordPath(number)) {
      const why = number === null ? 'no study writes such a file' : `a second file of experiment ${number}`;
      bad.push({ path, experiment: number, why });
      continue;
    }
    const object = objects[index];
    if (object?.type !== 'blob') {
      bad.push({ path, experiment: number, why: 'git has not got its content' });
      continue;
    }
    try {
      records.push(parseRecord(git, tag, path, number, object.content.toString('utf8')));
    } catch (error) {
      if (!(error instanceof LedgerError)) throw error;
      bad.push({ path, experiment: number, why: error.why });
    }
  }
  return { records: records.toSorted((a, b) => a.number - b.number), bad };
}

function numberIn(path: string): number | null {
  const digits = /^experiments\/(\d+)\.json$/.exec(path)?.[1];
  return digits === undefined ? null : Number(digits);
}

async function readLedgerCommits(git: Git, ledger: string): Promise<LedgerCommit[]> {
  const log = await git.text(['log', '-z', '--first-parent', '--format=tformat:%H%n%P%n%ct%n%B', ledger]);
  const entries = log.split('\0').filter((entry) => entry !== '');
  return entries.map((entry) => {
    const [id = '', parents = '', seconds = '', ...message] = entry.split('\n');
    return {
      id,
      parent: parents === '' ? null : (parents.split(' ')[0] ?? null),
      seconds: Number(seconds),
      message: message.join('\n'),
    };
  });
}

async function readCommits(git: Git, hashes: readonly string[]): Promise<Map<string, CommitObject | null>> {
  const found = await findObjects(git, hashes);
  return new Map(
    found.map((object, index) => {
      const commit = object?.type === 'commit' ? parseCommit(object.content.toString('utf8')) : null;
      return [hashes[index] ?? '', commit];
    }),
  );
}

function parseCommit(text: string): CommitObject {
  const end = text.indexOf('\n\n');
  const headers = text.slice(0, end).split('\n');
  const parents = headers.filter((line) => line.startsWith('parent ')).map((line) => line.slice(7));
  return { parents, message: text.slice(end + 2) };
}

async function readProposals(git: Git, refs: Map<string, string>): Promise<Map<string, Proposal | null>> {
  const found = await findObjects(git, [...refs.values()]);
  return new Map([...refs.keys()].map((name, index) => [name, parseProposal(found[index]?.content)]));
}

function parseProposal(content: Buffer | undefined): Proposal | null {
  if (content === undefined) return null;
  try {
    return proposalSchema.parse(JSON.parse(content.toString('utf8')));
  } catch {
    return null;
  }
}
