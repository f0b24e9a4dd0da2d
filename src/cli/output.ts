/** Everything a command prints goes through here: answers, progress, colours, and text by models and other programs. */
import { createColors } from 'picocolors';
import { asCalled } from './called-as';

/** Colours only for a person at a terminal: not in a pipe, not on CI, not with NO_COLOR (no-color.org). */
function wantsColour(): boolean {
  const { NO_COLOR, FORCE_COLOR, TERM } = process.env;
  if (NO_COLOR !== undefined && NO_COLOR !== '') return false;
  if (FORCE_COLOR !== undefined && FORCE_COLOR !== '' && FORCE_COLOR !== '0') return true;
  return process.stdout.isTTY && TERM !== 'dumb';
}

export const colour = createColors(wantsColour());

/* oxlint-disable no-control-regex -- control characters are what is looked for */
// Whole sequences first, or their printable part ("[31m") would remain; then the remaining controls, and what a terminal does not show:
// marks that change the order of text, zero-width characters, variation selectors, tags.
const SEQUENCES =
  /\u001B(?:\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001B]*(?:\u0007|\u001B\\)?|[PX^_][^\u001B]*(?:\u001B\\)?|[ -/]*[0-~])|\u009B[0-?]*[ -/]*[@-~]/gu;
const CONTROLS =
  /[\u0000-\u0008\u000B-\u001F\u007F-\u009F\u00AD\u061C\u115F\u1160\u17B4\u17B5\u180B-\u180F\u200B-\u200F\u2028-\u202E\u2060-\u206F\u3164\uFEFF\uFFA0\uFFF0-\uFFFB\u{E0000}-\u{E0FFF}]|\u034F|[\uFE00-\uFE0F]/gu;

/** Text of others (titles, logs, diffs, server messages) without escape sequences and controls; newlines and tabs stay. */
export function clean(text: string): string {
  return text.replace(/\r\n/gu, '\n').replace(SEQUENCES, '').replace(CONTROLS, '');
}

/** The same, on one line and at most `width` characters long. */
export function cleanLine(text: string, width = 200): string {
  const line = clean(text).replace(/\s+/gu, ' ').trim();
  const characters = Array.from(line);
  return characters.length <= width
    ? line
    : `${characters
        .slice(0, width - 1)
        .join('')
        .trimEnd()}…`;
}

/** Where a command's output goes. With `--json` stdout holds one JSON document and nothing else. */
export interface Output {
  readonly json: boolean;
  /** A line of progress or advice: stdout for people, stderr beside JSON. */
  readonly note: (line: string) => void;
  /** The command's answer, once: the document with `--json`, else the text for people. */
  readonly answer: (document: unknown, text: string) => void;
}

export function createOutput(json: boolean): Output {
  return {
    json,
    note: (line) => void (json ? process.stderr : process.stdout).write(`${asCalled(line)}\n`),
    answer: (document, text) =>
      void process.stdout.write(json ? `${JSON.stringify(document, null, 2)}\n` : `${asCalled(text)}\n`),
  };
}
