/** program.md and the incumbent's files as sections of the prompt. */
import { cut, fenced } from './quote';

const HEADING = 60;

/** The human's program is an order, not data: it is not fenced. */
export function programSection(program: string, path: string, tokens: number): string {
  const whole = program.trim() === '' ? '(it is empty)' : program.trim();
  const text = cut(whole, tokens - HEADING);
  const note = text === whole ? '' : ' (cut: read_file has the rest)';
  return `# ${path}: what the human asks for${note}\n<program>\n${text.replaceAll('</program>', '< /program>')}\n</program>`;
}

/** All files whole where they fit; otherwise each has a part of the share, the longest most. */
export function filesSection(files: Record<string, string>, commit: string, tokens: number): string {
  const paths = Object.keys(files);
  const total = paths.reduce((sum, path) => sum + (files[path] ?? '').length, 0);
  const parts = paths.map((path) => {
    const text = files[path] ?? '';
    const share = Math.floor((tokens - HEADING) * (text.length / Math.max(1, total))) - HEADING;
    const shown = cut(text, Math.max(0, share));
    const note = shown === text ? '' : ' (cut: read_file has the rest)';
    return `## ${path}${note}\n${fenced(shown, languageOf(path))}`;
  });
  return [`# The incumbent's files, commit ${commit.slice(0, 7)}`, ...parts].join('\n');
}

const languageOf = (path: string): string => (path.endsWith('.py') ? 'python' : '');
