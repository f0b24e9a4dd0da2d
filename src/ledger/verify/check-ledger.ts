/** The ledger by itself: every number one whole record, which came in by one commit and was never changed. */
import { experimentName, type ExperimentRecord } from '../../domain/experiment';
import type { Git } from '../git';
import { recordPath } from '../ledger';
import { messageText } from '../objects';
import { ledgerRef } from '../refs';
import { checkVerdicts } from './check-verdicts';
import { short, type Difference } from './difference';
import type { LedgerCommit, StudyInGit } from './read';

export async function checkLedger(git: Git, found: StudyInGit): Promise<Difference[]> {
  const { commits, others } = sortCommits(found);
  return [
    ...checkStudyFile(found),
    ...checkFiles(found),
    ...checkGaps(found),
    ...found.records.flatMap((record) => checkRecord(found, record, commits.get(record.number) ?? [])),
    ...checkIncumbents(found),
    ...checkVerdicts(found).map(({ number, what }) =>
      difference(number, what, lookAt(found, recordPath(number))),
    ),
    ...(await checkOthers(git, found, others)),
  ];
}

const branchOf = (tag: string): string => ledgerRef(tag).slice('refs/heads/'.length);

function difference(experiment: number | null, what: string, todo: string): Difference {
  return { about: 'ledger', experiment, what, todo, repair: null };
}

function lookAt({ tag }: StudyInGit, path: string): string {
  return `\`git log -p ${branchOf(tag)} -- ${path}\` shows what it was: put the last good version back, or fetch the study from a remote`;
}

function checkStudyFile(found: StudyInGit): Difference[] {
  if (found.studyDamage === null) return [];
  return [difference(null, `study.json is damaged: ${found.studyDamage}`, lookAt(found, 'study.json'))];
}

function checkFiles(found: StudyInGit): Difference[] {
  return found.bad.map(({ path, experiment, why }) =>
    difference(experiment, `${path} is not a good record: ${why}`, lookAt(found, path)),
  );
}

function checkGaps({ tag, records, bad }: StudyInGit): Difference[] {
  const there = new Set([...records.map(({ number }) => number), ...bad.map(({ experiment }) => experiment)]);
  const last = records.at(-1)?.number ?? -1;
  return Array.from({ length: last + 1 }, (_, number) => number)
    .filter((number) => !there.has(number))
    .map((number) =>
      difference(
        number,
        `experiment ${number} has no record, later ones have`,
        `\`git log -- ${recordPath(number)}\` on ${branchOf(tag)} may know it; otherwise fetch the study from a remote`,
      ),
    );
}

/** One commit each, whose message, made from the record when that was written, still says what the record says. */
function checkRecord(
  found: StudyInGit,
  record: ExperimentRecord,
  commits: readonly LedgerCommit[],
): Difference[] {
  const { number } = record;
  const [commit, ...more] = commits;
  const whats = commit === undefined ? [] : changedSince(record, commit);
  if (commit === undefined) whats.push(`the record of experiment ${number} came in by no commit of its own`);
  if (more.length > 0) {
    const all = commits.map(({ id }) => short(id)).join(', ');
    whats.push(`experiment ${number} was recorded ${commits.length} times: ${all}`);
  }
  return whats.map((what) => difference(number, what, lookAt(found, recordPath(number))));
}

function changedSince(record: ExperimentRecord, { id, seconds, message }: LedgerCommit): string[] {
  const said = message.slice(0, message.indexOf('\n'));
  const name = experimentName(record.number);
  const subject = `${name} ${record.verdict}: ${record.title}`;
  if (said !== subject) return [`record ${name} says "${subject}", its commit ${short(id)} "${said}"`];
  const saysSame =
    message.includes(`\n\n${messageText(record.detail)}\n`) &&
    message.includes(`\nCandidate: ${record.commit}\n`) &&
    seconds === Math.floor(Date.parse(record.finishedAt) / 1000);
  if (saysSame) return [];
  return [`record ${name} has another detail, candidate or time than its commit ${short(id)} was made with`];
}

/** Each was tried against the last one that was kept before it. */
function checkIncumbents(found: StudyInGit): Difference[] {
  let incumbent: { commit: string; score: number | null } | null =
    found.study === null ? null : { commit: found.study.base, score: null };
  const differences: Difference[] = [];
  for (const [index, record] of found.records.entries()) {
    const { number, commit, score, verdict } = record;
    // What a missing or damaged record before it said, nobody knows.
    if (number !== (found.records[index - 1]?.number ?? -1) + 1) incumbent = null;
    if (
      incumbent !== null &&
      (record.incumbent !== incumbent.commit || record.incumbentScore !== incumbent.score)
    ) {
      const tried = `${short(record.incumbent)} (${String(record.incumbentScore)})`;
      const kept = `${short(incumbent.commit)} (${String(incumbent.score)})`;
      const what = `experiment ${number} says that it was tried against ${tried}; the incumbent was ${kept}`;
      differences.push(difference(number, what, lookAt(found, recordPath(number))));
    }
    // The baseline is the first incumbent, whatever became of it.
    if (verdict === 'keep' || number === 0) incumbent = { commit, score };
  }
  return differences;
}

/** Commits of experiments by number; all others but the first. */
function sortCommits({ tag, ledgerCommits }: StudyInGit): {
  commits: Map<number, LedgerCommit[]>;
  others: LedgerCommit[];
} {
  const commits = new Map<number, LedgerCommit[]>();
  const others: LedgerCommit[] = [];
  for (const commit of ledgerCommits) {
    const trailers = commit.message.slice(commit.message.lastIndexOf('\n\n') + 2);
    const name = /^Experiment: (\d{4,})$/m.exec(trailers)?.[1];
    if (name !== undefined && trailers.startsWith(`Study: ${tag}\n`)) {
      commits.set(Number(name), [commit, ...(commits.get(Number(name)) ?? [])]);
    } else if (commit.parent !== null) others.push(commit);
  }
  return { commits, others };
}

/** What else has been committed to the ledger, by `verify --repair` or by hand, may not touch records. */
async function checkOthers(
  git: Git,
  found: StudyInGit,
  others: readonly LedgerCommit[],
): Promise<Difference[]> {
  const differences: Difference[] = [];
  for (const { id, parent, message } of others) {
    const listing = await git.text(['diff-tree', '-r', '-z', '--name-only', parent ?? '', id]);
    const touched = listing.split('\0').filter((path) => path.startsWith('experiments/'));
    const subject = message.slice(0, message.indexOf('\n'));
    for (const path of touched) {
      const number = Number(/(\d+)\.json$/.exec(path)?.[1] ?? NaN);
      differences.push(
        difference(
          Number.isNaN(number) ? null : number,
          `${path} was changed by commit ${short(id)} ("${subject}"): records never change`,
          lookAt(found, path),
        ),
      );
    }
  }
  return differences;
}
