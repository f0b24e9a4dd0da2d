/** Checks a change before a run is spent on it; objections go back to the researcher. */
import { join } from 'node:path';
import type { ExperimentRecord } from '../domain/experiment';
import { applyEdits, EditRejected } from '../labs/apply-edits';
import type { LabConfig } from '../labs/lab-yaml';
import type { Edit } from '../ledger/proposals';
import { Git } from '../ledger/git';
import { crashedRef } from '../ledger/refs';
import { studyState } from '../process/paths';
import { tooMuchData } from '../researchers/novelty';
import { astHashes, isComparable, type AstHash } from '../researchers/ast-hash';
import type { Objection, ResearchContext } from '../researchers/researcher';
import type { ProposeInput } from './interface';
import type { SmokeTest } from './smoke-test';

export interface Inspection {
  /** AST hash of the candidate's editable files; null when they do not parse or the edits do not apply. */
  astHash: string | null;
  /** Id of the candidate's tree in the lab's git; null when the edits do not apply. */
  tree: string | null;
  objection: Objection | null;
}

export interface Checker {
  /** Do the edits apply, parse, bring in little data, and are they new? Takes a fraction of a second. */
  inspect(edits: readonly Edit[], signal: AbortSignal): Promise<Inspection>;
  /** See `ResearchContext`. */
  check: ResearchContext['check'];
}

/** @param history the records of all finished experiments */
export type CheckerFor = (
  input: ProposeInput,
  lab: LabConfig,
  history: readonly ExperimentRecord[],
) => Checker;

const SAME = 'apart from local names, comments and layout';

/** @param python the interpreter of the trainer's environment */
export function createCheck(python: string, smokeTest: SmokeTest): CheckerFor {
  return (input, lab, history) => {
    const inspect = createInspect(python, input, lab, history);
    return {
      inspect,
      async check(edits, signal) {
        const { tree, objection } = await inspect(edits, signal);
        return objection !== null || tree === null ? objection : smokeTest(input, lab, tree, signal);
      },
    };
  };
}

function createInspect(
  python: string,
  input: ProposeInput,
  lab: LabConfig,
  history: readonly ExperimentRecord[],
): Checker['inspect'] {
  const { study, incumbent, repair } = input;
  const git = new Git(study.lab);
  const from = repair?.commit ?? incumbent;
  const file = join(studyState(study.labId, study.tag), 'ast-hashes-2.jsonl');
  const hashesOf = (treeishes: readonly string[], signal: AbortSignal): Promise<AstHash[]> =>
    astHashes({ git, editable: lab.editable, python, file }, treeishes, signal);
  let tried: Promise<Tried> | null = null;

  return async (edits, signal) => {
    let tree: string;
    try {
      tree = await applyEdits(git, from, edits, lab);
    } catch (error) {
      if (!(error instanceof EditRejected)) throw error;
      return { astHash: null, tree: null, objection: { kind: 'edits', message: error.message } };
    }
    const [candidate] = await hashesOf([tree], signal);
    if (candidate === undefined || candidate.hash === null) {
      return { astHash: null, tree, objection: { kind: 'syntax', message: candidate?.error ?? '' } };
    }
    const data = await tooMuchData(git, study.base, tree, lab, signal);
    if (data !== null) return { astHash: candidate.hash, tree, objection: { kind: 'data', message: data } };
    tried ??= triedBefore(input, history, (treeishes) => hashesOf(treeishes, signal));
    const why = (await tried).get(candidate.hash);
    const objection = why === undefined ? null : ({ kind: 'repeat', message: why } as const);
    return { astHash: candidate.hash, tree, objection };
  };
}

/** By AST hash of a candidate: why it need not be tried again. */
type Tried = ReadonlyMap<string, string>;

async function triedBefore(
  { study, number, incumbent, repair }: ProposeInput,
  history: readonly ExperimentRecord[],
  hashesOf: (treeishes: readonly string[]) => Promise<AstHash[]>,
): Promise<Tried> {
  const named = history.filter(hasRun).flatMap(candidatesOf);
  const own = repair === null ? [] : crashedSoFar(study.tag, number, repair.attempt, repair.commit);
  const candidates: Candidate[] = [
    ...named,
    { commit: incumbent, why: `the change does nothing: ${SAME}, the code is the incumbent's` },
    ...own.map((commit) => ({ commit, why: `${SAME}, the code is that of the crashed candidate` })),
  ];
  const unknown = candidates.filter(({ hash }) => hash === undefined);
  const found = await hashesOf(unknown.map(({ commit }) => commit));
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
  /** The AST hash, when the record has a comparable one. */
  hash?: string;
}

/** A candidate that never ran, or was killed from outside, may be tried again. */
const hasRun = ({ runs, reason }: ExperimentRecord): boolean => runs.length > 0 && reason !== 'lost';

function candidatesOf(record: ExperimentRecord): Candidate[] {
  const { number, title, commit, verdict, detail, repairs, research } = record;
  const what = `${SAME}, the code is that of experiment ${number} (${JSON.stringify(title)})`;
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

/** The crashed candidates of this experiment: `apply` stores each one under a ref before its repair replaces it. */
const crashedSoFar = (tag: string, number: number, attempt: number, last: string): string[] => [
  ...Array.from({ length: attempt - 1 }, (_, index) => crashedRef(tag, number, index + 1)),
  last,
];
