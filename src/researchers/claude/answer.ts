/** Turns the input of the model's `propose` tool into a proposal. */
import { createHash } from 'node:crypto';
import type { Knob } from '../../domain/lab';
import type { Edit, Proposal } from '../../ledger/proposals';
import type { Usage } from '../../domain/money';
import type { ResearchContext } from '../researcher';
import { oneLine } from './quote';
import { holdsKey, redact } from '../redact';
import { parseRange, type ProposeInput } from './tools';

const TITLE_LENGTH = 120;

/** The edits in the proposal's format; an empty search replaces the whole file. */
export const editsOf = ({ edits }: ProposeInput): Edit[] =>
  edits.map(({ path, search, replace }) =>
    search === '' ? { path, content: replace } : { path, search, replace },
  );

/** What is wrong with an answer, apart from its edits, as text for the model; null when nothing is. */
export function objectionTo(input: ProposeInput, context: ResearchContext): string | null {
  const ranges = input.ranges.map(parseRange).filter((range) => typeof range === 'string');
  if (ranges.length > 0) return ranges.join('; ');
  const foreign = input.ranges.find(({ file }) => !context.lab.editable.includes(file));
  if (foreign !== undefined) return `ranges: ${foreign.name}: ${foreign.file} is not editable`;
  if (input.idea !== null && !context.ideas.some(({ id }) => id === input.idea))
    return `idea: the backlog has no ${input.idea}; use null for none`;
  return holdsKey(JSON.stringify(input.edits))
    ? 'the change contains what looks like an API key: remove it'
    : null;
}

/** The hints and lessons that the prompt asked about, and the tokens used. */
interface Asked {
  hints: readonly string[];
  lessonsDue: boolean;
  usage: Usage;
}

export function proposalOf(
  input: ProposeInput,
  context: ResearchContext,
  { hints, lessonsDue, usage }: Asked,
): Proposal {
  const { knobs, idea } = input;
  const lessons = input.lessons ?? [];
  return {
    format: 1,
    title: oneLine(redact(input.title), TITLE_LENGTH) || 'a change without a title',
    hypothesis: redact(input.hypothesis),
    edits: editsOf(input),
    ideas: input.ideas.map(redact),
    research: {
      expected: redact(input.expected),
      knobs: [...new Set(knobs)],
      program: createHash('sha256').update(context.program).digest('hex'),
      meaning: null,
      // The prompt showed only these; the others wait for the next proposal.
      hints: [...hints],
      idea,
      // They replace all earlier lessons, so lessons that the task did not ask for are dropped.
      lessons: lessonsDue && lessons.length > 0 ? lessons.map(redact) : null,
      ranges: input.ranges.map(parseRange).filter((range): range is Knob => typeof range !== 'string'),
      approach: context.plateau.approach,
      usage,
      dearestCall: null,
      assumed: null,
    },
  };
}
