/** Asks the researcher for the change of experiment n. A proposal that git already has is returned without asking. */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ApplicationFailure, Context } from '@temporalio/activity';
import { TemporalFailure } from '@temporalio/common';
import type { Research } from '../domain/experiment';
import { backlog, lessons } from '../domain/ideas';
import { addAssumed, type Usage } from '../domain/money';
import type { StudyConfig } from '../domain/study';
import { MAX_WITHOUT_PROPOSAL, plateauOf, sinceKeep, withoutProposal } from '../domain/plateau';
import { diff } from '../ledger/commits';
import type { LabConfig } from '../labs/lab-yaml';
import {
  findProposal,
  proposalSchema,
  readProposal,
  storeProposal,
  type Proposal,
} from '../ledger/proposals';
import { Git } from '../ledger/git';
import { readLabConfigAt } from '../labs/lab';
import { readLedger } from '../ledger/ledger';
import { readAt, readText } from '../ledger/objects';
import { decodeText } from '../labs/text';
import { journalIn, proposalFolder } from '../researchers/proposal-folder';
import { BudgetExhausted, SpendGuard } from '../researchers/spend-guard';
import { UNANSWERED } from '../researchers/claude/api-errors';
import { fitProposal } from '../researchers/fit';
import {
  GivenUp,
  NoProposal,
  type Objection,
  type Repairing,
  type Researcher,
  type ResearchContext,
} from '../researchers/researcher';
import type { Checker, CheckerFor } from './check-proposal';
import { isLasting, withFailures } from './failures';
import { heartbeatWhile } from '../runs/heartbeat';
import type { ControlActivities, Proposed, ProposeInput } from './interface';

/** After so many answers without a usable proposal the experiment ends without one. */
const ATTEMPTS = 3;
/** The longest wait between two failed tries that may have cost money; the first wait is a minute. */
const MAX_DELAY_MS = 15 * 60_000;
/** The longest time for one proposal, below the activity's timeout of two hours: after that, Temporal would pay for everything again. */
const LONGEST_MS = 110 * 60_000;

const NO_RESEARCH: Research = {
  expected: '',
  knobs: [],
  program: '',
  meaning: null,
  hints: [],
  idea: null,
  lessons: null,
  ranges: [],
  approach: null,
  usage: null,
  dearestCall: null,
  assumed: null,
};

export interface ProposeDependencies {
  /** @throws RangeError for an unknown name */
  researcher(input: ProposeInput): Researcher;
  check: CheckerFor;
  /** The interpreter of the trainer's environment. */
  python: string;
  longestMs?: number;
}

export function createPropose(dependencies: ProposeDependencies): ControlActivities['propose'] {
  return (input) => withFailures(() => heartbeatWhile(propose(dependencies, input), { study: input.study }));
}

async function propose(dependencies: ProposeDependencies, input: ProposeInput): Promise<Proposed> {
  const { study, number, repair, waiting } = input;
  const git = new Git(study.lab);
  const attempt = repair?.attempt ?? 0;
  const found = await findProposal(git, study.tag, number, attempt);
  const id = found ?? (await askAndStore(dependencies, git, input, attempt));
  const { title, dollars = 0, research, gaveUp = null } = await readProposal(git, id);
  // A hint that arrived after the proposal waits for the next one.
  const heard = research?.hints ?? [];
  return { proposal: id, title, dollars, taken: { ...waiting, hints: heard }, gaveUp };
}

/** @returns the proposal's id in git */
async function askAndStore(
  dependencies: ProposeDependencies,
  git: Git,
  input: ProposeInput,
  attempt: number,
): Promise<string> {
  const { study, number } = input;
  const { context, checker } = await contextOf(dependencies, git, input);
  const before = context.spendGuard.spent();
  try {
    const { longestMs = LONGEST_MS } = dependencies;
    const proposal = await ask(dependencies.researcher(input), context, checker, longestMs);
    return await storeProposal(git, study.tag, number, recordable(proposal, context), attempt);
  } catch (error) {
    throw context.spendGuard.spent() > before || isUnanswered(error) ? spacedOut(error) : error;
  }
}

/**
 * Fits the proposal into the record's bounds. An answer that was paid for is not asked for again because it does not fit: long
 * texts are cut, and an answer that still cannot be recorded counts as given up, with the reason.
 */
function recordable(proposal: Proposal, context: ResearchContext): Proposal {
  const fitted = fitProposal(proposal);
  const { error } = proposalSchema.safeParse(fitted);
  if (error === undefined) return fitted;
  const why = error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`).join('; ');
  return fitProposal(givenUp(context, [`the answer cannot be recorded: ${why}`], null));
}

const isUnanswered = (error: unknown): boolean =>
  error instanceof ApplicationFailure && error.type === UNANSWERED;

/**
 * Spaces out the retries after a failure that may have cost money: an answer that broke off, a full disk, a missing Python. At
 * Temporal's usual pace the study would pay each minute of the night.
 */
function spacedOut(error: unknown): unknown {
  const { cancellationSignal, info } = Context.current();
  if (!(error instanceof Error) || cancellationSignal.aborted || isLasting(error)) return error;
  const wait = Math.min(MAX_DELAY_MS, 60_000 * 2 ** (info.attempt - 1));
  if (!(error instanceof ApplicationFailure)) {
    if (error instanceof TemporalFailure) return error;
    return ApplicationFailure.create({
      message: error.message,
      type: error.name,
      cause: error,
      nextRetryDelay: wait,
    });
  }
  if (error.nonRetryable === true) return error;
  const { message, type, nextRetryDelay } = error;
  const asked = typeof nextRetryDelay === 'number' ? nextRetryDelay : 0;
  return ApplicationFailure.create({
    message,
    type: type ?? error.name,
    cause: error,
    nextRetryDelay: Math.max(wait, asked),
  });
}

async function ask(
  researcher: Researcher,
  context: ResearchContext,
  checker: Checker,
  longestMs: number,
): Promise<Proposal> {
  const { cancellationSignal } = Context.current();
  const timeIsUp = AbortSignal.timeout(longestMs);
  const either = AbortSignal.any([cancellationSignal, timeIsUp]);
  let repeatsRefused = 0;
  const counted = <T extends Objection | null>(objection: T): T => {
    repeatsRefused += Number(objection?.kind === 'repeat');
    return objection;
  };
  const check: ResearchContext['check'] = async (edits, signal) =>
    counted(await context.check(edits, signal));
  const refused: Objection[] = [];
  const reasons: string[] = [];
  let usage: Usage | null = null;
  while (reasons.length < ATTEMPTS) {
    try {
      const asked = { ...context, check, refused };
      const proposal = await researcher.propose(asked, either);
      const { astHash, objection } = await checker.inspect(proposal.edits, cancellationSignal);
      // Edits that break a rule go into the ledger as `rejected`, where people see them.
      if (objection === null || objection.kind === 'edits') {
        return { ...answered(proposal, astHash, context), repeatsRefused };
      }
      refused.push(counted(objection));
      reasons.push(`${objection.kind}: ${objection.message}`);
    } catch (error) {
      if (error instanceof BudgetExhausted) return noMoney(error, context, usage);
      if (error instanceof GivenUp)
        return { ...givenUp(context, [error.message], error.usage), repeatsRefused };
      if (cancellationSignal.aborted) throw error;
      // The usage covers all calls for this proposal so far.
      if (error instanceof NoProposal) usage = error.usage ?? usage;
      if (timeIsUp.aborted) {
        reasons.push(`the proposal took more than ${longestMs / 60_000} minutes`);
        break;
      }
      if (!(error instanceof NoProposal)) throw error;
      if (error.objection !== null) refused.push(error.objection);
      reasons.push(error.message);
    }
  }
  return { ...givenUp(context, reasons, usage), repeatsRefused };
}

function answered(proposal: Proposal, astHash: string | null, context: ResearchContext): Proposal {
  const program = createHash('sha256').update(context.program).digest('hex');
  return {
    ...asRepair(proposal, context.repair),
    dollars: context.spendGuard.spent(),
    research: { ...NO_RESEARCH, program, ...proposal.research, meaning: astHash, ...callsOf(context) },
  };
}

/** The costs of this proposal's calls; calls that are still reserved now will never report theirs. */
function callsOf({ spendGuard }: ResearchContext): Pick<Research, 'dearestCall' | 'assumed'> {
  const { assumed, aside } = spendGuard.account();
  return { dearestCall: spendGuard.dearestCall(), assumed: addAssumed(assumed, aside) };
}

/** A repair has the title and hypothesis of the change that it repairs. */
function asRepair(proposal: Proposal, repair: Repairing | null): Proposal {
  return repair === null ? proposal : { ...proposal, title: repair.title, hypothesis: repair.hypothesis };
}

/** Without money, a crashed candidate stays a crash, and a new change waits until the limit is raised. */
function noMoney(error: BudgetExhausted, context: ResearchContext, usage: Usage | null): Proposal {
  if (context.repair !== null) return givenUp(context, [error.message], usage);
  throw ApplicationFailure.create({
    type: error.name,
    message: `dollars limit: ${error.message}`,
    nonRetryable: true,
    cause: error,
  });
}

/**
 * The hints to drop when nothing was proposed. Usually all wait for the next proposal. But a hint may be the reason, so after
 * too many experiments in a row without a proposal the oldest one is dropped each time.
 */
function hintsToDrop({ hints, history }: ResearchContext): string[] {
  return withoutProposal(history) + 1 >= MAX_WITHOUT_PROPOSAL ? hints.slice(0, 1) : [];
}

function givenUp(context: ResearchContext, reasons: readonly string[], usage: Usage | null): Proposal {
  const { spendGuard, repair } = context;
  const why = [...new Set(reasons)].join('; ').slice(0, 1000);
  const title = repair?.title ?? 'nothing was proposed';
  return {
    format: 1,
    title,
    hypothesis: repair?.hypothesis ?? '',
    edits: [],
    dollars: spendGuard.spent(),
    gaveUp: why,
    research: { ...NO_RESEARCH, hints: hintsToDrop(context), usage, ...callsOf(context) },
  };
}

async function contextOf(
  dependencies: ProposeDependencies,
  git: Git,
  input: ProposeInput,
): Promise<{ context: ResearchContext; checker: Checker }> {
  const { study, number, incumbent, waiting, left, repair } = input;
  const found = repair === null ? null : await findProposal(git, study.tag, number, 0);
  const crashed = found === null ? null : await readProposal(git, found);
  const lab = await readLabConfigAt(git, study.base);
  const history = await readLedger(git, study.tag);
  const folder = proposalFolder(study, number);
  const dropped = new Set(waiting.droppedIdeas);
  const checker = dependencies.check(input, lab, history);
  const context: ResearchContext = {
    tag: study.tag,
    number,
    lab,
    budget: study.budget,
    policy: study.policy,
    others: [],
    // From the working tree each time: the user may edit it while the study runs.
    program: await readFile(join(study.lab, lab.program)).then(decodeText, () => ''),
    incumbent: { commit: incumbent, files: await filesAt(git, lab, incumbent) },
    history,
    readAt: (path, commits) => readAt(git, path, commits),
    diffs: (commits) => Promise.all(commits.map((commit) => diff(git, commit))),
    // A repair sees the hints of its change; newer ones are for another change.
    hints: crashed === null ? waiting.hints : (crashed.research?.hints ?? []),
    ideas: [
      ...backlog(history).filter(({ id }) => !dropped.has(id)),
      // The record lists them first among this experiment's ideas, so they will have these ids.
      ...waiting.ideas.map((text, index) => ({ id: `${number}.${index + 1}`, text, from: 'human' as const })),
    ],
    lessons: lessons(history).lessons,
    plateau: plateauOf(sinceKeep(history), study.plateauAfter),
    left,
    repair: repair === null || crashed === null ? null : await repairing(git, lab, study, repair, crashed),
    model: study.model,
    callDollars: study.callDollars,
    spendGuard: await SpendGuard.open(journalIn(folder), left.dollars),
    check: checker.check,
    refused: [],
    python: dependencies.python,
    since: Context.current().info.scheduledTimestampMs,
    folder,
  };
  return { context, checker };
}

async function filesAt(git: Git, lab: LabConfig, commit: string): Promise<Record<string, string>> {
  const contents = await Promise.all(
    lab.editable.map(async (path) => [path, await readText(git, commit, path)] as const),
  );
  return Object.fromEntries(contents.filter((entry): entry is [string, string] => entry[1] !== null));
}

async function repairing(
  git: Git,
  lab: LabConfig,
  { repairs }: StudyConfig,
  { attempt, commit, failure }: NonNullable<ProposeInput['repair']>,
  { title, hypothesis, researcher }: Proposal,
): Promise<Repairing> {
  return {
    researcher: researcher ?? null,
    attempt,
    of: repairs,
    commit,
    files: await filesAt(git, lab, commit),
    title,
    hypothesis,
    failure,
  };
}
