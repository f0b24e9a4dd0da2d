/** Cuts a proposal's texts to the lengths that a record allows. The proposal was paid for, so too long a text must not reject it. */
import type { Research } from '../domain/experiment';
import type { Usage } from '../domain/money';
import { MAX_HYPOTHESIS, type Proposal } from '../ledger/proposals';
import { MOST_NOTED } from '../ledger/research';
import { oneLine } from './claude/quote';

const TITLE = 120;
const EXPECTED = 1000;
const NOTE = 2000;
const IDEAS = 20;
const LESSONS = 50;
const REASON = 1000;

export function fitProposal(proposal: Proposal): Proposal {
  const { title, hypothesis, ideas, research, gaveUp } = proposal;
  return {
    ...proposal,
    title: oneLine(title, TITLE) || 'a change without a title',
    hypothesis: cut(hypothesis, MAX_HYPOTHESIS),
    ...(ideas !== undefined && { ideas: notes(ideas, IDEAS) }),
    ...(research !== undefined && { research: fitResearch(research) }),
    ...(gaveUp !== undefined && { gaveUp: cut(gaveUp, REASON) }),
  };
}

function fitResearch(research: Research): Research {
  const { expected, knobs, hints, lessons, ranges, usage } = research;
  return {
    ...research,
    expected: cut(expected, EXPECTED),
    knobs: knobs.slice(0, MOST_NOTED),
    hints: hints.slice(0, MOST_NOTED),
    lessons: lessons === null ? null : notes(lessons, LESSONS),
    ranges: ranges.slice(0, MOST_NOTED),
    usage: usage === null || Object.values(usage).every(isCount) ? usage : withoutNonsense(usage),
  };
}

const notes = (texts: readonly string[], most: number): string[] =>
  texts
    .map((text) => cut(text, NOTE))
    .filter((text) => text !== '')
    .slice(0, most);

/** Marks the cut with `…` and leaves no half of a surrogate pair. */
function cut(text: string, length: number): string {
  return (text.length <= length ? text : `${text.slice(0, length - 1)}…`).toWellFormed();
}

const isCount = (value: string | number): boolean =>
  typeof value === 'string' || (Number.isSafeInteger(value) && value >= 0);

/** Replaces token figures that are not counts by 0. */
function withoutNonsense(usage: Usage): Usage {
  const entries = Object.entries(usage).map(([name, value]) => [name, isCount(value) ? value : 0]);
  return { ...usage, ...Object.fromEntries(entries) };
}
