/** Asks the researcher for experiment n's change, once: a proposal that git already holds is the answer. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ApplicationFailure, Context } from '@temporalio/activity';
import { Git } from '../lab/git';
import { readLedger } from '../lab/ledger';
import { readLabConfigAt } from '../lab/lab';
import { readAt, readText } from '../lab/objects';
import { findProposal, readProposal, storeProposal } from '../lab/edits';
import { experimentName } from '../domain/experiment';
import { studyState } from '../process/paths';
import { NoProposal, type Researcher, type ResearchContext } from '../researchers/researcher';
import { withFailures } from './failures';
import { heartbeatWhile } from './heartbeat';
import type { ControlActivities, Proposed, ProposeInput } from './interface';

/** Asked this often in vain, the study pauses and says so, rather than asking all night. */
const ATTEMPTS = 3;

export interface ProposeDependencies {
  /** @throws if there is no researcher of that name */
  researcher(input: ProposeInput): Researcher;
  /** The interpreter of the trainer's environment. */
  python: string;
}

export function createPropose(dependencies: ProposeDependencies): ControlActivities['propose'] {
  return (input) => withFailures(() => propose(dependencies, input));
}

async function propose(dependencies: ProposeDependencies, input: ProposeInput): Promise<Proposed> {
  const { study, number } = input;
  const git = new Git(study.lab);
  const id = (await findProposal(git, study.tag, number)) ?? (await ask(dependencies, git, input));
  const { title, dollars } = await readProposal(git, id);
  return { proposal: id, title, dollars: dollars ?? 0 };
}

async function ask(dependencies: ProposeDependencies, git: Git, input: ProposeInput): Promise<string> {
  const { cancellationSignal, info } = Context.current();
  const researcher = dependencies.researcher(input);
  const context = await contextOf(dependencies, git, input);
  try {
    const proposal = await heartbeatWhile(researcher.propose(context, cancellationSignal));
    return await storeProposal(git, input.study.tag, input.number, proposal);
  } catch (error) {
    if (!(error instanceof NoProposal) || cancellationSignal.aborted) throw error;
    throw ApplicationFailure.create({
      type: 'NoProposal',
      message: `the ${input.researcher} researcher proposed nothing (${info.attempt} of ${ATTEMPTS} tries): ${error.message}`,
      nonRetryable: info.attempt >= ATTEMPTS,
      cause: error,
    });
  }
}

async function contextOf(
  { python }: ProposeDependencies,
  git: Git,
  { study, number, incumbent, hints }: ProposeInput,
): Promise<ResearchContext> {
  const lab = await readLabConfigAt(git, study.base);
  const contents = await Promise.all(
    lab.editable.map(async (path) => [path, await readText(git, incumbent, path)] as const),
  );
  return {
    tag: study.tag,
    number,
    lab,
    // Afresh from the working tree: the human may edit it while the study runs.
    program: await readFile(join(study.lab, lab.program), 'utf8').catch(() => ''),
    incumbent: {
      commit: incumbent,
      files: Object.fromEntries(contents.filter((entry): entry is [string, string] => entry[1] !== null)),
    },
    history: await readLedger(git, study.tag),
    readAt: (path, commits) => readAt(git, path, commits),
    hints,
    python,
    folder: join(studyState(study.labId, study.tag), 'proposals', experimentName(number)),
  };
}
