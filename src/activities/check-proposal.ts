/** Tries a change before the device is touched; what is wrong with it goes back to its researcher. */
import { join } from 'node:path';
import type { ExperimentRecord } from '../domain/experiment';
import { applyEdits, EditRejected } from '../labs/apply-edits';
import type { LabConfig } from '../labs/lab-yaml';
import type { Edit } from '../ledger/proposals';
import { Git } from '../ledger/git';
import { crashedRef } from '../ledger/refs';
import { studyState } from '../process/paths';
import { tooMuchData } from '../researchers/novelty';
import { isComparable, meaningsOf, type Meaning } from '../researchers/meaning';
import type { Objection, ResearchContext } from '../researchers/researcher';
import type { ProposeInput } from './interface';
import type { SmokeTest } from './smoke-test';

/** What is known of a change that was looked at. */
export interface Looked {
  /** Hash of what its editable files mean; null where they do not parse, or the edits do not apply. */
  meaning: string | null;
  /** What the edits make of the files, as an object of the lab's git; null where they do not apply. */
  tree: string | null;
  objection: Objection | null;
}

export interface Checker {
  /** Do the edits apply, does it parse, does it bring no data along, is it new? Takes a part of a second. */
  look(edits: readonly Edit[], signal: AbortSignal): Promise<Looked>;
  /** See `ResearchContext`. */
  check: ResearchContext['check'];
}

/** @param history all finished experiments: what was tried */
export type CheckerFor = (
  input: ProposeInput,
  lab: LabConfig,
  history: readonly ExperimentRecord[],
) => Checker;

const SAME = 'apart from names, comments and layout';

/** @param python the interpreter of the trainer's environment */
export function createCheck(python: string, smokeTest: SmokeTest): CheckerFor {
  return (input, lab, history) => {
    const look = createLook(python, input, lab, history);
    return {
      look,
      async check(edits, signal) {
        const { tree, objection } = await look(edits, signal);
        return objection !== null || tree === null ? objection : smokeTest(input, lab, tree, signal);
      },
    };
  };
}

function createLook(
  python: string,
  input: ProposeInput,
  lab: LabConfig,
  history: readonly ExperimentRecord[],
): Checker['look'] {
  const { study, incumbent, repair } = input;
  const git = new Git(study.lab);
  const from = repair?.commit ?? incumbent;
  const file = join(studyState(study.labId, study.tag), 'meanings-1.jsonl');
  const meanings = (treeishes: readonly string[], signal: AbortSignal): Promise<Meaning[]> =>
    meaningsOf({ git, editable: lab.editable, python, file }, treeishes, signal);
  let tried: Promise<Tried> | null = null;

  return async (edits, signal) => {
    let tree: string;
    try {
      tree = await applyEdits(git, from, edits, lab);
    } catch (error) {
      if (!(error instanceof EditRejected)) throw error;
      return { meaning: null, tree: null, objection: { kind: 'edits', message: error.message } };
    }
    const [meaning] = await meanings([tree], signal);
    if (meaning === undefined || meaning.hash === null) {
      return { meaning: null, tree, objection: { kind: 'syntax', message: meaning?.error ?? '' } };
    }
    const data = await tooMuchData(git, study.base, tree, lab, signal);
    if (data !== null) return { meaning: meaning.hash, tree, objection: { kind: 'data', message: data } };
    tried ??= triedBefore(input, history, (treeishes) => meanings(treeishes, signal));
    const why = (await tried).get(meaning.hash);
    const objection = why === undefined ? null : ({ kind: 'repeat', message: why } as const);
    return { meaning: meaning.hash, tree, objection };
  };
}

/** By the hash of a candidate: why it need not be tried again. */
type Tried = ReadonlyMap<string, string>;

async function triedBefore(
  { study, number, incumbent, repair }: ProposeInput,
  history: readonly ExperimentRecord[],
  meanings: (treeishes: readonly string[]) => Promise<Meaning[]>,
): Promise<Tried> {
  const named = history.filter(hasRun).flatMap(candidatesOf);
  const own = repair === null ? [] : crashedSoFar(study.tag, number, repair.attempt, repair.commit);
  const candidates: Candidate[] = [
    ...named,
    { commit: incumbent, why: `it changes nothing that runs: ${SAME}, it is the incumbent` },
    ...own.map((commit) => ({ commit, why: `${SAME}, it is the candidate that has crashed` })),
  ];
  const unknown = candidates.filter(({ hash }) => hash === undefined);
  const found = await meanings(unknown.map(({ commit }) => commit));
  const hashes = new Map(unknown.map((candidate, index) => [candidate, found[index]?.hash ?? null]));
  return new Map(
    candidates.flatMap((candidate): [string, string][] => {
      const hash = candidate.hash ?? hashes.get(candidate) ?? null;
      return hash === null ? [] : [[hash, candidate.why]];
    }),
  );
}

interface Candidate {
  commit: string;
  why: string;
  /** Where its record has it. */
  hash?: string;
}

/** Whoever never ran, or was ended by a foreign hand, may be tried again. */
const hasRun = ({ runs, reason }: ExperimentRecord): boolean => runs.length > 0 && reason !== 'lost';

function candidatesOf(record: ExperimentRecord): Candidate[] {
  const { number, title, commit, verdict, detail, repairs, research } = record;
  const what = `${SAME}, it is experiment ${number} (${JSON.stringify(title)})`;
  const hash = research?.meaning ?? null;
  const last: Candidate = { commit, why: `${what}: ${verdict}, ${detail}` };
  return [
    ...repairs.map((each) => ({
      commit: each.commit,
      why: `${what} before it was repaired: ${each.failure.reason}, ${each.failure.message}`,
    })),
    hash !== null && isComparable(hash) ? { ...last, hash } : last,
  ];
}

/** The candidates of this experiment that have crashed: `apply` keeps each before its repair takes its place. */
const crashedSoFar = (tag: string, number: number, attempt: number, last: string): string[] => [
  ...Array.from({ length: attempt - 1 }, (_, index) => crashedRef(tag, number, index + 1)),
  last,
];
