/** The task, as the last section of the prompt: a new change or a repair, lessons, another approach on a plateau. */
import { APPROACH_TEXT } from '../../domain/plateau';
import type { Repairing } from '../researcher';
import type { PromptInput } from './prompt-input';
import { cut, fenced, oneLine } from './quote';

/** @param tokens the most that the section may have */
export function taskSection(input: PromptInput, tokens: number): string {
  const { number, plateau, repair, lessonsDue } = input;
  const change =
    plateau.approach === null
      ? ''
      : `# A plateau\nNone of the last ${plateau.since} experiments was kept. Change your approach now: ${APPROACH_TEXT[plateau.approach]}.`;
  const learn = lessonsDue
    ? '\nLessons are due. Put all lessons that hold now into `lessons`: at most 12, each one sentence with its evidence (#numbers). They replace the lessons above.'
    : '';
  const task =
    repair === null
      ? `# Your task\nPropose experiment #${number}.${learn}`
      : repairText(repair, input, Math.floor(tokens * 0.75));
  return [change, task].filter((text) => text !== '').join('\n\n');
}

function repairText(repair: Repairing, { number, diffs }: PromptInput, tokens: number): string {
  const { attempt, of, title, failure, commit } = repair;
  const trace = cut(failure.tail, Math.floor(tokens * 0.45));
  const patch = cut(diffs.get(commit) ?? '', Math.floor(tokens * 0.45));
  return `# Your task: repair experiment #${number}, attempt ${attempt} of ${of}
Its candidate ${JSON.stringify(oneLine(title, 140))} crashed: ${failure.reason}, ${JSON.stringify(oneLine(failure.message, 200))}.
Fix the crash with the smallest edit that preserves the idea. Your edits apply to the crashed candidate's files, not to the
incumbent's; read_file shows the candidate's. If the idea itself is wrong, call give_up.

The end of its output:
${fenced(trace)}

Its change against the incumbent:
${fenced(patch, 'diff')}`;
}
