/**
 * The `command` researcher: any executable, a coding agent in headless mode for instance. It runs in a git worktree of
 * its own at the incumbent's commit, reads the context as one JSON object on stdin, and leaves its edits in the worktree,
 * committed or not. The last line that it prints may be a JSON object with `title`, `hypothesis` and `dollars`.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { Edit, Proposal } from '../lab/edits';
import { withoutTemporalSettings } from '../temporal/own-environment';
import { capture, CaptureError, type Captured } from './capture';
import { NoProposal, type Researcher, type ResearchContext } from './researcher';

/** A working copy that the researcher may change, and what it changed. */
export interface Workspace {
  path: string;
  changes(): Promise<Edit[]>;
  remove(): Promise<void>;
}

export interface CommandOptions {
  /** Given to `sh -c`. */
  command: string;
  openWorkspace(context: ResearchContext): Promise<Workspace>;
  timeoutMs?: number;
}

const TIMEOUT_MS = 30 * 60_000;
const TITLE_LENGTH = 120;

const reportSchema = z.object({
  title: z.string().min(1).max(1000).optional(),
  hypothesis: z.string().max(4000).optional(),
  dollars: z.number().nonnegative().optional(),
});

export function createCommand(options: CommandOptions): Researcher {
  return {
    async propose(context, signal): Promise<Proposal> {
      const workspace = await options.openWorkspace(context);
      try {
        const said = await run(options, context, workspace.path, signal);
        const edits = await workspace.changes();
        if (edits.length === 0) {
          throw new NoProposal(`the command changed nothing in its worktree: see ${transcript(context)}`);
        }
        const { title, hypothesis, dollars } = lastReport(said.stdout);
        const files = edits.map((edit) => edit.path).join(', ');
        return {
          format: 1,
          title: oneLine(title ?? `change to ${files}`),
          hypothesis: hypothesis ?? '',
          edits,
          ...(dollars === undefined ? {} : { dollars }),
        };
      } finally {
        await workspace.remove();
      }
    },
  };
}

async function run(
  { command, timeoutMs = TIMEOUT_MS }: CommandOptions,
  context: ResearchContext,
  cwd: string,
  signal: AbortSignal,
): Promise<Captured> {
  const env = {
    ...withoutTemporalSettings(process.env),
    AUTORESEARCH_TAG: context.tag,
    AUTORESEARCH_EXPERIMENT: String(context.number),
  };
  let said: Captured | null = null;
  try {
    said = await capture(['/bin/sh', '-c', command], {
      cwd,
      env,
      stdin: contextJson(context),
      timeoutMs,
      signal,
    });
    return said;
  } catch (error) {
    if (error instanceof CaptureError) {
      said = error.captured;
      if (!signal.aborted) {
        throw new NoProposal(`${error.message}; the transcript is ${transcript(context)}`, { cause: error });
      }
    }
    throw error;
  } finally {
    if (said !== null) await keepTranscript(context, said);
  }
}

const transcript = (context: ResearchContext): string => join(context.folder, 'transcript.log');

async function keepTranscript(context: ResearchContext, { stdout, stderr }: Captured): Promise<void> {
  await mkdir(context.folder, { recursive: true });
  await writeFile(transcript(context), `${stdout}\n--- stderr ---\n${stderr}`);
}

/** The contract with the command; docs/researchers.md describes each field. */
function contextJson({ tag, number, lab, program, incumbent, history, hints }: ResearchContext): string {
  return JSON.stringify({
    version: 1,
    tag,
    experiment: number,
    metric: lab.metric,
    editable: lab.editable,
    program,
    hints,
    incumbent,
    history: history.map((record) => ({
      number: record.number,
      commit: record.commit,
      title: record.title,
      hypothesis: record.hypothesis,
      verdict: record.verdict,
      reason: record.reason,
      score: record.score,
      failure: record.failure,
    })),
  });
}

/** What the command said of its change, on the last line that is a JSON object. */
function lastReport(stdout: string): z.infer<typeof reportSchema> {
  const line = stdout.trimEnd().split('\n').at(-1)?.trim() ?? '';
  if (!line.startsWith('{')) return {};
  try {
    return reportSchema.parse(JSON.parse(line));
  } catch {
    return {};
  }
}

function oneLine(text: string): string {
  const line = text.replace(/\s+/g, ' ').trim();
  return line.length <= TITLE_LENGTH ? line : `${line.slice(0, TITLE_LENGTH - 1)}…`;
}
