/** program.md and the incumbent's files as sections of the prompt. */
import { cut, fenced } from './quote';

/** Tokens of a heading. */
const HEADING = 60;

/** The user's program is an instruction, not data, so it is not fenced. */
export function programSection(program: string, path: string, tokens: number): string {
  const whole = program.trim() === '' ? '(empty)' : program.trim();
  const text = cut(whole, tokens - HEADING);
  const note = text === whole ? '' : ' (cut; read_file shows the rest)';
  return `# ${path}: the user's instructions${note}\n<program>\n${text.replaceAll('</program>', '< /program>')}\n</program>`;
}

/** All files, whole if they fit; otherwise each is cut to a part of `tokens` in proportion to its length. */
export function filesSection(files: Record<string, string>, commit: string, tokens: number): string {
  const paths = Object.keys(files);
  const total = paths.reduce((sum, path) => sum + (files[path] ?? '').length, 0);
  const parts = paths.map((path) => {
    const text = files[path] ?? '';
    const share = Math.floor((tokens - HEADING) * (text.length / Math.max(1, total))) - HEADING;
    const shown = cut(text, Math.max(0, share));
    const note = shown === text ? '' : ' (cut; read_file shows the rest)';
    return `## ${path}${note}\n${fenced(shown, languageOf(path))}`;
  });
  return [`# The incumbent's files, commit ${commit.slice(0, 7)}`, ...parts].join('\n');
}

const languageOf = (path: string): string => (path.endsWith('.py') ? 'python' : '');
