/**
 * The `command` researcher: any executable, a coding agent in headless mode for instance. It runs in a copy of
 * the lab at the incumbent's commit, reads the context as one JSON object on stdin, and leaves its edits in the
 * copy, committed or not. What it says of its change and its cost is read from what it prints.
 */
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ApplicationFailure } from '@temporalio/common';
import { headAndTail } from '../process/excerpt';
import type { Research } from '../domain/experiment';
import { ASSUMED_CALL_DOLLARS } from '../domain/study';
import { MAX_HYPOTHESIS, type Proposal } from '../ledger/proposals';
import type { Changes } from '../labs/working-copy';
import { agentEnvironment } from './agent-settings';
import { readAgentOutput, type AgentReport } from './agent-output';
import { capture, CaptureError, type Captured } from './capture';
import { oneLine } from './claude/quote';
import { contextJson, writeLedgerFile } from './command-context';
import type { Settle } from './purse';
import { holdsKey, redact } from './redact';
import { NoProposal, type Researcher, type ResearchContext } from './researcher';
import type { Workspace } from './workspace';

export interface CommandOptions {
  /** Given to `sh -c`. */
  command: string;
  openWorkspace(context: ResearchContext): Promise<Workspace>;
  timeoutMs: number;
}

/** EX_TEMPFAIL of sysexits.h: its API is away, or its share is used up for now. It is asked again, a minute apart at most. */
const LATER = 75;
const TITLE_LENGTH = 120;
/** Of each transcript, its beginning and its end. */
const TRANSCRIPT_CHARACTERS = 1 << 20;
const TRANSCRIPT = /^transcript-(\d+)\.log$/;

export function createCommand(options: CommandOptions): Researcher {
  return {
    async propose(context, signal): Promise<Proposal> {
      await mkdir(context.folder, { recursive: true });
      const transcript = await nextTranscript(context.folder);
      const workspace = await options.openWorkspace(context);
      try {
        await writeLedgerFile(context);
        // Before its own reservation is made, which is not spent yet.
        const env = { ...environmentOf(context), ...workspace.env };
        const report = await context.purse.spend(callReserve(context), (settle) =>
          run({ ...options, env }, context, workspace, transcript, signal, settle),
        );
        const changes = await workspace.changes();
        const { edits } = changes;
        const note = leftOut(changes);
        if (changes.wrong.length > 0) throw toCorrect(changes, context);
        if (edits.length === 0) {
          throw new NoProposal(`the command changed no editable file: see ${transcript}${note}`);
        }
        if (holdsKey(JSON.stringify(edits))) {
          throw new NoProposal('the change contains what looks like a key: leave it out');
        }
        const files = edits.map((edit) => edit.path).join(', ');
        return {
          format: 1,
          title:
            oneLine(redact(report.title ?? ''), TITLE_LENGTH) || oneLine(`change to ${files}`, TITLE_LENGTH),
          hypothesis: (redact(report.hypothesis ?? '').slice(0, MAX_HYPOTHESIS - note.length) + note).trim(),
          edits,
          research: researchOf(context, report),
        };
      } finally {
        await workspace.remove();
      }
    },
  };
}

/** What goes back to the command: it is asked again, from the same commit on. */
function toCorrect({ wrong }: Changes, { lab }: ResearchContext): NoProposal {
  const shown = listed(wrong, '; ');
  const error = new NoProposal(`the command left what cannot be tried: ${shown}`);
  error.objection = {
    kind: 'edits',
    message: `${shown}. Change only ${lab.editable.join(', ')}, and make the change anew: your copy begins without it`,
  };
  return error;
}

/** One line for the record, which later calls read. */
function leftOut({ left }: Changes): string {
  return left.length === 0 ? '' : `\n(left out, for they are not editable: ${listed(left, ', ')})`;
}

const SHOWN = 5;

/** What an agent names is one line, and short. */
function listed(texts: readonly string[], separator: string): string {
  const first = texts.slice(0, SHOWN).map((text) => oneLine(redact(text), TITLE_LENGTH));
  return [...first, ...(texts.length > SHOWN ? [`${texts.length - SHOWN} more`] : [])].join(separator);
}

/**
 * What a call counts as until it says what it has cost, in US dollars: the dearest call of this study that has said so.
 * Only the agent knows its price, and it reports it at its end. Calls that did not say are no evidence: estimates would
 * grow by themselves.
 */
function callReserve({ history, purse, callDollars, left }: ResearchContext): number {
  const said = history.flatMap(({ research }) => research?.dearestCall ?? []);
  const known = [...said, purse.dearestCall()].filter((dollars) => dollars !== null);
  if (known.length > 0) return Math.max(...known);
  return callDollars ?? (left.dollars === null ? 0 : ASSUMED_CALL_DOLLARS);
}

/** @param settle takes what the call has cost; not called where the call was ended before it could say so */
async function run(
  { command, timeoutMs, env }: CommandOptions & { env: NodeJS.ProcessEnv },
  context: ResearchContext,
  workspace: Workspace,
  transcript: string,
  signal: AbortSignal,
  settle: Settle,
): Promise<AgentReport> {
  let said: Captured | null = null;
  try {
    said = await capture(await workspace.enclose(command), {
      cwd: workspace.path,
      env,
      devices: workspace.devices,
      stdin: contextJson(context),
      timeoutMs,
      signal,
    });
    const report = readAgentOutput(said.stdout);
    settle(report.dollars, report.atLeast);
    return report;
  } catch (error) {
    if (error instanceof CaptureError) {
      said = error.captured;
      const { dollars, atLeast } = readAgentOutput(said.stdout);
      const isAway = error.code === LATER;
      // An agent whose API is away has asked nothing, unless it says otherwise. One that was ended stays reserved.
      if (isAway || dollars !== null || error.code !== null)
        settle(dollars ?? (isAway ? atLeast : null), atLeast);
      if (!signal.aborted && isAway) {
        // It may say so all night; why is in the failure, so no transcript of each time is kept.
        said = null;
        throw ApplicationFailure.retryable(redact(error.message), 'ResearcherAway');
      }
      if (!signal.aborted) {
        throw new NoProposal(`${redact(error.message)}; the transcript is ${transcript}`);
      }
      throw error;
    }
    // It was never begun.
    settle(0);
    throw error;
  } finally {
    if (said !== null) await writeFile(transcript, transcriptOf(workspace, said));
  }
}

function environmentOf(context: ResearchContext): NodeJS.ProcessEnv {
  return {
    ...agentEnvironment(process.env),
    AUTORESEARCH_TAG: context.tag,
    AUTORESEARCH_EXPERIMENT: String(context.number),
    ...moneyLeft(context),
  };
}

/** For an agent that can hold a limit of its own; absent where the study has none. */
function moneyLeft({ left, purse }: ResearchContext): Record<string, string> {
  return left.dollars === null
    ? {}
    : { AUTORESEARCH_DOLLARS_LEFT: Math.max(0, left.dollars - purse.spent()).toFixed(4) };
}

function researchOf({ hints, plateau }: ResearchContext, { usage }: AgentReport): Research {
  return {
    expected: '',
    knobs: [],
    program: '',
    meaning: null,
    hints: [...hints],
    idea: null,
    lessons: null,
    ranges: [],
    approach: plateau.approach,
    usage,
    dearestCall: null,
    assumed: null,
  };
}

/** Each try has its own, repairs and earlier workers' tries too. */
async function nextTranscript(folder: string): Promise<string> {
  const numbers = (await readdir(folder)).map((name) => Number(TRANSCRIPT.exec(name)?.[1] ?? 0));
  return join(folder, `transcript-${Math.max(0, ...numbers) + 1}.log`);
}

function transcriptOf({ protection }: Workspace, { stdout, stderr }: Captured): string {
  return `--- ${protection} ---\n${headAndTail(redact(stdout), TRANSCRIPT_CHARACTERS)}\n--- stderr ---\n${headAndTail(redact(stderr), TRANSCRIPT_CHARACTERS)}`;
}
