/** What the model's reading tools answer. */
import type { ResearchContext } from '../researcher';
import { cut, fenced } from './quote';
import { redact } from '../redact';
import { recordLine } from './record-text';
import { viewOf } from './ledger';
import type { ToolUse } from './tools';

type Read = Extract<ToolUse, { name: 'read_file' }>['input'];

/** What a tool says, and whether that is a complaint. */
export interface Said {
  text: string;
  isError: boolean;
}

export const complaint = (text: string): Said => ({ text: redact(text), isError: true });

/** A file as the change would find it: the crashed candidate's where the question is a repair. */
export function readFile(
  { lab, program, incumbent, repair }: ResearchContext,
  { path, first, last }: Read,
  tokens: number,
): Said {
  const files = repair?.files ?? incumbent.files;
  const text = path === lab.program ? program : files[path];
  if (text === undefined) {
    return complaint(
      `${path} is not there to read: expected one of ${[...Object.keys(files), lab.program].join(', ')}`,
    );
  }
  const lines = text.split('\n');
  const from = first ?? 1;
  const shown = lines.slice(from - 1, last ?? lines.length).join('\n');
  const whole = cut(shown, tokens);
  const note = whole === shown ? '' : ' It is cut: ask for fewer lines.';
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
): Promise<Said> {
  const record = history.find((candidate) => candidate.number === number);
  if (record === undefined)
    return complaint(
      `there is no experiment #${number} yet; the last one is #${history.at(-1)?.number ?? 'none'}`,
    );
  const [patch = ''] = number === 0 ? [] : await diffs([record.commit]);
  const { scale } = viewOf(history, lab.metric.direction);
  const about = [
    recordLine(record, scale),
    `hypothesis: ${record.hypothesis}`,
    `expected: ${record.research?.expected ?? ''}`,
    `verdict: ${record.detail}`,
    ...(record.failure === null ? [] : [`its output's end:\n${record.failure.tail}`]),
  ].join('\n');
  const half = Math.floor(tokens / 2);
  return {
    text: redact(`${fenced(cut(about, half))}\n${fenced(cut(patch, half), 'diff')}`),
    isError: false,
  };
}
