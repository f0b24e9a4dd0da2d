/** The answers of the model's look-up tools, read_file and show_experiment. */
import type { ResearchContext } from '../researcher';
import { cut, fenced } from './quote';
import { redact } from '../redact';
import { recordLine } from './record-text';
import { viewOf } from './history-view';
import type { ToolUse } from './tools';

type Read = Extract<ToolUse, { name: 'read_file' }>['input'];

/** A tool's result. */
export interface ToolAnswer {
  text: string;
  isError: boolean;
}

export const complaint = (text: string): ToolAnswer => ({ text: redact(text), isError: true });

/** Lines of a file that edits apply to: the incumbent's, or in a repair the crashed candidate's. */
export function readFile(
  { lab, program, incumbent, repair }: ResearchContext,
  { path, first, last }: Read,
  tokens: number,
): ToolAnswer {
  const files = repair?.files ?? incumbent.files;
  const text = path === lab.program ? program : files[path];
  if (text === undefined) {
    return complaint(
      `${path} cannot be read: expected one of ${[...Object.keys(files), lab.program].join(', ')}`,
    );
  }
  const lines = text.split('\n');
  const from = first ?? 1;
  const shown = lines.slice(from - 1, last ?? lines.length).join('\n');
  const whole = cut(shown, tokens);
  const note = whole === shown ? '' : ' The text is cut: ask for fewer lines.';
  return {
    text: redact(
      `${path}, lines ${from} to ${Math.min(last ?? lines.length, lines.length)} of ${lines.length}.${note}\n${fenced(whole)}`,
    ),
    isError: false,
  };
}

export async function showExperiment(
  { history, diffs, lab }: ResearchContext,
  number: number,
  tokens: number,
): Promise<ToolAnswer> {
  const record = history.find((candidate) => candidate.number === number);
  const last = history.at(-1);
  if (record === undefined)
    return complaint(
      `there is no experiment #${number} yet; the last one is ${last === undefined ? 'none' : `#${last.number}`}`,
    );
  const [patch = ''] = number === 0 ? [] : await diffs([record.commit]);
  const { scale } = viewOf(history, lab.metric.direction);
  const about = [
    recordLine(record, scale),
    `hypothesis: ${record.hypothesis}`,
    `expected: ${record.research?.expected ?? ''}`,
    `verdict: ${record.detail}`,
    ...(record.failure === null ? [] : [`end of its output:\n${record.failure.tail}`]),
  ].join('\n');
  const half = Math.floor(tokens / 2);
  return {
    text: redact(`${fenced(cut(about, half))}\n${fenced(cut(patch, half), 'diff')}`),
    isError: false,
  };
}
