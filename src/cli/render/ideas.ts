/** What `ideas` prints. */
import type { Idea } from '../../domain/experiment';
import type { Waiting } from '../../domain/waiting';
import { cleanLine, colour } from '../output';
import { terminalWidth } from './table';
import { wrap } from './wrap';

interface Learnt {
  tag: string;
  ideas: readonly Idea[];
  lessons: readonly string[];
  /** The experiment that the lessons came with; null before there were any. */
  after: number | null;
  /** What the next experiment takes in. */
  waiting: Waiting;
}

const INDENT = ' '.repeat(9);

export function ideasText({ tag, ideas, lessons, after, waiting }: Learnt, width = terminalWidth()): string {
  const line = (head: string, text: string): string =>
    `${colour.dim(head.padEnd(INDENT.length))}${wrap(cleanLine(text, 2000), width, INDENT)}`;
  const notes = ({ id, from }: Idea): string => {
    const said = [
      ...(from === 'human' ? ['yours'] : []),
      ...(waiting.droppedIdeas.includes(id) ? ['dropped with the next experiment'] : []),
    ];
    return said.length === 0 ? '' : ` (${said.join(', ')})`;
  };
  const open = [
    ...ideas.map((idea) => line(idea.id, `${idea.text}${notes(idea)}`)),
    ...waiting.ideas.map((text) => line('new', `${text} (yours, in with the next experiment)`)),
  ];
  const learnt = lessons.map((text) => line('·', text));
  return [
    colour.bold(`${tag} · ideas for later`),
    ...(open.length === 0 ? ['none yet: `autoresearch ideas --add "…"` adds one'] : open),
    '',
    colour.bold(after === null ? 'lessons' : `lessons, drawn with experiment ${after}`),
    ...(learnt.length === 0 ? ['none yet'] : learnt),
  ].join('\n');
}
