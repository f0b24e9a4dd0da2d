/** What hangs on the records: candidates, proposals, and where the branch stands. */
import { experimentName, type ExperimentRecord } from '../../domain/experiment';
import type { Git } from '../git';
import { baseRef, branchName, branchRef, crashedRef, experimentRef, proposalRef } from '../refs';
import { short, type Difference, type Findings } from './difference';
import type { StudyInGit } from './read';

const FETCH = 'fetch the study from a remote that has it';

export function checkRefs(found: StudyInGit): Findings {
  const next = (found.records.at(-1)?.number ?? -1) + 1;
  const isBegun = [found.experimentRefs, found.proposalRefs].some((refs) => refs.has(experimentName(next)));
  return {
    differences: [
      ...checkBase(found),
      ...found.records.flatMap((record) => [
        ...checkCandidate(found, record),
        ...checkCrashed(found, record),
        ...checkProposal(found, record),
      ]),
      ...checkForeign(found, next),
    ],
    notes: isBegun
      ? [`experiment ${next} is begun and has no record yet: it runs, or was cut off and will be run again`]
      : [],
  };
}

function checkBase({ tag, study, base }: StudyInGit): Difference[] {
  if (study === null || base === study.base) return [];
  const ref = baseRef(tag);
  const what =
    base === null
      ? `${ref} is missing; study.json says ${short(study.base)}`
      : `${ref} is at ${short(base)}; study.json says ${short(study.base)}`;
  const repair = base === null ? ({ kind: 'ref', ref, from: null, to: study.base } as const) : null;
  return [{ about: 'refs', experiment: null, what, todo: mend(ref, study.base), repair }];
}

const mend = (ref: string, to: string): string => `\`git update-ref ${ref} ${to}\`, if the ledger is right`;

function checkCandidate(
  { tag, experimentRefs, commits }: StudyInGit,
  { number, commit, incumbent, title }: ExperimentRecord,
): Difference[] {
  const name = experimentName(number);
  const ref = experimentRef(tag, number);
  const differences: Difference[] = [];
  const add = (what: string, todo: string, repair: Difference['repair'] = null): void =>
    void differences.push({ about: 'refs', experiment: number, what, todo, repair });
  const at = experimentRefs.get(name);
  const object = commits.get(commit) ?? null;
  if (at === undefined) {
    const repair = object === null ? null : ({ kind: 'ref', ref, from: null, to: commit } as const);
    const todo = object === null ? FETCH : mend(ref, commit);
    add(`${ref} is missing; record ${name} says ${short(commit)}`, todo, repair);
  } else if (at !== commit) {
    add(`${ref} is at ${short(at)}; record ${name} says ${short(commit)}`, mend(ref, commit));
  }
  if (object === null) {
    add(`git has no commit ${short(commit)}, the candidate of experiment ${number}`, FETCH);
  } else if (object.parents.length !== 1 || object.parents[0] !== incumbent) {
    const parents = object.parents.map(short).join(', ') || 'nothing';
    add(
      `candidate ${short(commit)} of experiment ${number} builds on ${parents}; its record says ${short(incumbent)}`,
      FETCH,
    );
  } else if (!isCandidateOf(object.message, tag, number, title)) {
    add(`commit ${short(commit)} does not say that it is experiment ${number} of study ${tag}`, FETCH);
  }
  return differences;
}

/** Candidates that crashed and were repaired: each is kept where the record says. */
function checkCrashed({ tag, crashedRefs }: StudyInGit, { number, repairs }: ExperimentRecord): Difference[] {
  return repairs.flatMap(({ commit }, index) => {
    const ref = crashedRef(tag, number, index + 1);
    const at = crashedRefs.get(`${experimentName(number)}-${index + 1}`);
    if (at === commit) return [];
    const what = `${ref} is ${at === undefined ? 'missing' : `at ${short(at)}`}; record ${experimentName(number)} says ${short(commit)}`;
    return [{ about: 'refs', experiment: number, what, todo: mend(ref, commit), repair: null }];
  });
}

function isCandidateOf(message: string, tag: string, number: number, title: string): boolean {
  const trailers = message.slice(message.lastIndexOf(`\n\nStudy: `) + 2);
  return (
    message.startsWith(`${title}\n`) &&
    trailers.startsWith(`Study: ${tag}\nExperiment: ${experimentName(number)}\n`)
  );
}

function checkProposal(
  { tag, proposalRefs, proposals }: StudyInGit,
  { number, title, hypothesis }: ExperimentRecord,
): Difference[] {
  if (number === 0) return [];
  const name = experimentName(number);
  const ref = proposalRef(tag, number);
  const proposal = proposals.get(name) ?? null;
  const what = !proposalRefs.has(name)
    ? `${ref} is missing`
    : proposal === null
      ? `${ref} holds no proposal`
      : proposal.title !== title || proposal.hypothesis !== hypothesis
        ? `${ref} holds "${proposal.title}"; record ${name} says "${title}"`
        : null;
  return what === null ? [] : [{ about: 'refs', experiment: number, what, todo: FETCH, repair: null }];
}

/** Refs beyond the next experiment, which may be under way; those before it belong to records, or to gaps. */
function checkForeign({ tag, experimentRefs, proposalRefs }: StudyInGit, next: number): Difference[] {
  const names = [
    ...Array.from(experimentRefs.keys(), (name) => ['exp', name] as const),
    ...Array.from(proposalRefs.keys(), (name) => ['proposal', name] as const),
  ];
  return names
    .filter(([kind, name]) => !isOurs(kind, name, next))
    .map(([kind, name]) => ({
      about: 'refs',
      experiment: /^\d+$/.test(name) ? Number(name) : null,
      what: `refs/autoresearch/${tag}/${kind}/${name} belongs to no record, and experiment ${next} is next`,
      todo: `if the ledger was moved back, \`git reflog autoresearch-ledger/${tag}\` knows where it was; a ref of nobody's goes by \`git update-ref -d\``,
      repair: null,
    }));
}

/** `0042`; a repair's proposal is `0042-1`. */
function isOurs(kind: 'exp' | 'proposal', name: string, next: number): boolean {
  const [number = '', repair] = name.split('-');
  const isNamed = repair === undefined || (kind === 'proposal' && /^[1-9]\d*$/.test(repair));
  return isNamed && experimentName(Number(number)) === number && Number(number) <= next;
}

/** The branch stands at the last kept commit. Candidates name their parents, so the way there is checked with them. */
export async function checkBranch(git: Git, found: StudyInGit): Promise<Difference[]> {
  const { tag, branch, records, study } = found;
  const kept = records.findLast(({ verdict, number }) => verdict === 'keep' || number === 0);
  const target = kept?.commit ?? study?.base;
  // A study that was begun and not opened yet has no branch.
  if (target === undefined || branch === target || (branch === null && kept === undefined)) return [];
  const name = branchName(tag);
  const lost = lostExperiment(found);
  const common = { about: 'branch', experiment: kept?.number ?? null } as const;
  if (lost !== null) {
    const what = `${name} is at experiment ${lost}, which has no record`;
    const todo = `the ledger may have been moved back: see \`git reflog autoresearch-ledger/${tag}\` before anything else`;
    return [{ ...common, what, todo, repair: null }];
  }
  const expected = kept === undefined ? `its base ${short(target)}` : `#${kept.number}, ${short(target)}`;
  if (kept !== undefined && found.commits.get(target) === null) {
    return [
      { ...common, what: `${name} cannot be at ${expected}: git has it not`, todo: FETCH, repair: null },
    ];
  }
  const place = branch === null ? 'is missing' : await whereIs(git, found, branch, target);
  const what = `${name} ${place}; the last kept commit is ${expected}`;
  const todo = `\`git branch${branch === null ? '' : ' -f'} ${name} ${short(target)}\``;
  return [{ ...common, what, todo, repair: { kind: 'ref', ref: branchRef(tag), from: branch, to: target } }];
}

/** The branch at a candidate that has no record: then it is the ledger that is behind. */
function lostExperiment({ branch, records, experimentRefs }: StudyInGit): string | null {
  const name = [...experimentRefs].find(([, id]) => id === branch)?.[0];
  if (name === undefined || records.some(({ number }) => experimentName(number) === name)) return null;
  return name;
}

async function whereIs(git: Git, { records }: StudyInGit, branch: string, target: string): Promise<string> {
  const at = records.find(({ commit }) => commit === branch);
  if (at !== undefined) return `is at experiment ${at.number} (${at.verdict}), ${short(branch)}`;
  const isAhead = (await git.answer(['merge-base', '--is-ancestor', target, branch])) !== null;
  return isAhead
    ? `has commits on top that are no experiment's, up to ${short(branch)}`
    : `is at ${short(branch)}, which is no experiment's commit`;
}
