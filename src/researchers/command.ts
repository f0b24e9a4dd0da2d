/**
 * The `command` researcher: any executable, for instance a coding agent in headless mode. It runs in a copy of the lab at
 * the incumbent's commit, reads the context as one JSON object on stdin, and edits the copy; it may commit or not. Title,
 * hypothesis and cost are read from its output.
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
import type { Settle } from './spend-guard';
import { holdsKey, redact } from './redact';
import { NoProposal, type Researcher, type ResearchContext } from './researcher';
import type { Workspace } from './workspace';

export interface CommandOptions {
  /** Given to `sh -c`. */
  command: string;
  openWorkspace(context: ResearchContext): Promise<Workspace>;
  timeoutMs: number;
}

/** Exit code EX_TEMPFAIL of sysexits.h: the agent's API or quota is unavailable for now. Temporal retries, at most a minute apart. */
const EXIT_LATER = 75;
const TITLE_LENGTH = 120;
/** Of a longer transcript, its beginning and its end are stored. */
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
        // Read the dollars left before this call's own reservation.
        const env = { ...environmentOf(context), ...workspace.env };
        const report = await context.spendGuard.spend(callReserve(context), (settle) =>
          run({ ...options, env }, context, workspace, transcript, signal, settle),
        );
        const changes = await workspace.changes();
        const { edits } = changes;
        const note = ignoredNote(changes);
        if (changes.wrong.length > 0) throw invalidChanges(changes, context);
        if (edits.length === 0) {
          throw new NoProposal(`the command changed no editable file: see ${transcript}${note}`);
        }
        if (holdsKey(JSON.stringify(edits))) {
          throw new NoProposal('the change contains what looks like an API key: remove it');
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

/** The objection that the command gets with its next call, which starts from the same commit. */
function invalidChanges({ wrong }: Changes, { lab }: ResearchContext): NoProposal {
  const shown = listed(wrong, '; ');
  const error = new NoProposal(`the command left changes that cannot be tried: ${shown}`);
  error.objection = {
    kind: 'edits',
    message: `${shown}. Change only ${lab.editable.join(', ')}. Make the whole change again: your new copy is at the original commit`,
  };
  return error;
}

/** One line for the record; later calls read it. */
function ignoredNote({ left }: Changes): string {
  return left.length === 0 ? '' : `\n(ignored changes to files that are not editable: ${listed(left, ', ')})`;
}

const SHOWN = 5;

/** Names from an agent, each on one short line. */
function listed(texts: readonly string[], separator: string): string {
  const first = texts.slice(0, SHOWN).map((text) => oneLine(redact(text), TITLE_LENGTH));
  return [...first, ...(texts.length > SHOWN ? [`${texts.length - SHOWN} more`] : [])].join(separator);
}

/**
 * What to reserve for a call, in US dollars: the highest cost that a call of this study has reported. Only the agent knows
 * its price, and it reports it at its end. Assumed costs are left out, or estimates would grow by themselves.
 */
function callReserve({ history, spendGuard, callDollars, left }: ResearchContext): number {
  const said = history.flatMap(({ research }) => research?.dearestCall ?? []);
  const known = [...said, spendGuard.dearestCall()].filter((dollars) => dollars !== null);
  if (known.length > 0) return Math.max(...known);
  return callDollars ?? (left.dollars === null ? 0 : ASSUMED_CALL_DOLLARS);
}

/** @param settle gets the cost of the call; not called when the call was aborted before it reported one */
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
      const isAway = error.code === EXIT_LATER;
      // An agent whose API was away paid nothing unless it says otherwise. An aborted one stays reserved.
      if (isAway || dollars !== null || error.code !== null)
        settle(dollars ?? (isAway ? atLeast : null), atLeast);
      if (!signal.aborted && isAway) {
        // This may repeat all night, and the failure has the reason: store no transcript.
        said = null;
        throw ApplicationFailure.retryable(redact(error.message), 'ResearcherAway');
      }
      if (!signal.aborted) {
        throw new NoProposal(`${redact(error.message)}; the transcript is ${transcript}`);
      }
      throw error;
    }
    // The command never started.
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

/** For agents that take a spending limit; absent when the study has none. */
function moneyLeft({ left, spendGuard }: ResearchContext): Record<string, string> {
  return left.dollars === null
    ? {}
    : { AUTORESEARCH_DOLLARS_LEFT: Math.max(0, left.dollars - spendGuard.spent()).toFixed(4) };
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

/** A new number for each try, also across repairs and workers. */
async function nextTranscript(folder: string): Promise<string> {
  const numbers = (await readdir(folder)).map((name) => Number(TRANSCRIPT.exec(name)?.[1] ?? 0));
  return join(folder, `transcript-${Math.max(0, ...numbers) + 1}.log`);
}

function transcriptOf({ protection }: Workspace, { stdout, stderr }: Captured): string {
  return `--- ${protection} ---\n${headAndTail(redact(stdout), TRANSCRIPT_CHARACTERS)}\n--- stderr ---\n${headAndTail(redact(stderr), TRANSCRIPT_CHARACTERS)}`;
}
