/**
 * Holds together what git keeps of a study. The records are the truth: branch, refs and results.tsv are made from
 * them, and are mended from them only where the records themselves are whole.
 */
import { GitError, type Git } from '../git';
import { checkBranch, checkRefs } from './check-refs';
import { checkLedger } from './check-ledger';
import { checkResults } from './check-results';
import type { Difference, Findings } from './difference';
import { readStudyInGit, type StudyInGit } from './read';

export interface Verified extends Findings {
  /** null where git itself could not read what it holds. */
  found: StudyInGit | null;
}

export async function verifyStudy(git: Git, tag: string): Promise<Verified> {
  let found: StudyInGit;
  try {
    found = await readStudyInGit(git, tag);
  } catch (error) {
    if (!(error instanceof GitError)) throw error;
    return { found: null, differences: [unreadable(error)], notes: [] };
  }
  if (found.ledger === null) return { found, differences: [noLedger(found)], notes: [] };
  const ledger = await checkLedger(git, found);
  const refs = checkRefs(found);
  const isComplete = found.bad.length === 0 && found.records.every(({ number }, index) => number === index);
  const derived = isComplete ? [...(await checkBranch(git, found)), ...checkResults(found)] : [];
  const all = [...refs.differences, ...derived];
  return {
    found,
    differences: [...ledger, ...(ledger.length === 0 ? all : all.map(withoutRepair))],
    notes: isComplete
      ? refs.notes
      : ['branch and results.tsv were not looked at: they are made from records that are not all there'],
  };
}

function withoutRepair(difference: Difference): Difference {
  return difference.repair === null
    ? difference
    : { ...difference, todo: 'mend the records first: this is made from them', repair: null };
}

function unreadable({ message }: GitError): Difference {
  return {
    about: 'ledger',
    experiment: null,
    what: `git cannot read the study: ${message.split('\n')[0] ?? ''}`,
    todo: '`git fsck` names the damaged objects; fetch the study from a remote into a fresh clone',
    repair: null,
  };
}

function noLedger({ tag }: StudyInGit): Difference {
  return {
    about: 'ledger',
    experiment: null,
    what: `the branch autoresearch-ledger/${tag} is gone, other refs of the study are there`,
    todo: `\`git reflog autoresearch-ledger/${tag}\` may know where it was, or fetch the study from a remote`,
    repair: null,
  };
}
