/** What `ideas` prints. */
import type { Idea } from '../../domain/experiment';
import { cleanLine, colour } from '../output';
import { terminalWidth } from './table';
import { wrap } from './wrap';

interface Learnt {
  tag: string;
  ideas: readonly Idea[];
  lessons: readonly string[];
  /** The experiment that the lessons came with; null before there were any. */
  after: number | null;
}

const INDENT = ' '.repeat(9);

export function ideasText({ tag, ideas, lessons, after }: Learnt, width = terminalWidth()): string {
  const line = (head: string, text: string): string =>
    `${colour.dim(head.padEnd(INDENT.length))}${wrap(cleanLine(text, 2000), width, INDENT)}`;
  const open = ideas.map(({ id, text, from }) => line(id, from === 'human' ? `${text} (yours)` : text));
  const learnt = lessons.map((text) => line('·', text));
  return [
    colour.bold(`${tag} · ideas for later`),
    ...(open.length === 0 ? ['none yet: `autoresearch ideas --add "…"` adds one'] : open),
    '',
    colour.bold(after === null ? 'lessons' : `lessons, drawn with experiment ${after}`),
    ...(learnt.length === 0 ? ['none yet'] : learnt),
  ].join('\n');
}
