/** What is new with each question: the budget, the noise, the plateau, and what is asked. */
import { APPROACH_TEXT } from '../../domain/plateau';
import { dollarText } from '../../domain/limits';
import { scoreText } from '../../domain/numbers';
import type { Repairing } from '../researcher';
import type { View } from './ledger';
import { cut, fenced, oneLine } from './quote';
import { tokensText } from './record-text';
import type { Shown } from './shown';

/** Where the study stands. */
export function moment({ left, lab, history }: Shown, { noise, scale }: View): string {
  const limits = [
    left.experiments === null ? '' : `${left.experiments} experiments`,
    left.gpuHours === null ? '' : `${Number(left.gpuHours.toPrecision(3))} GPU-hours`,
    left.hours === null ? '' : `${Number(left.hours.toPrecision(3))} hours`,
    left.dollars === null ? '' : dollarText(left.dollars),
  ].filter((text) => text !== '');
  const spread =
    noise === null
      ? 'not measured, for no code was run twice; some of the small differences above are luck'
      : `a standard deviation of ${scale.decimals === null ? scoreText(noise) : noise.toFixed(scale.decimals + 1)} between two runs of the same code`;
  const counts = (['keep', 'discard', 'crash'] as const).map(
    (verdict) => `${history.filter((record) => record.verdict === verdict).length} ${verdict}`,
  );
  return `# Where the study stands
- Experiments so far: ${history.length} (${counts.join(', ')}).
- Noise of ${lab.metric.name}: ${spread}.
- Left: ${limits.length === 0 ? 'no limit; the study goes on until it is stopped' : limits.join(', ')}.${incumbentText(history)}`;
}

/** What the incumbent's run was like, on which device. */
function incumbentText(history: Shown['history']): string {
  const record = history.findLast(({ verdict }) => verdict === 'keep');
  const run = record?.runs.findLast(({ score }) => score !== null);
  if (record === undefined || run === undefined) return '';
  const { device = 'unknown', torch } = record.class;
  const { steps, tokens, parameters, peakMemoryMb } = run.metrics;
  const facts = [
    ...(steps === undefined ? [] : [`${steps} steps`]),
    ...(tokens === undefined ? [] : [`${tokensText(tokens)} tokens`]),
    `${run.trainSeconds.toFixed(0)} s`,
    `${run.startupSeconds.toFixed(0)} s to start`,
    ...(parameters === undefined ? [] : [`${tokensText(parameters)} parameters`]),
    ...(peakMemoryMb === undefined ? [] : [`${peakMemoryMb.toFixed(0)} MB at most`]),
  ];
  return `\n- Device: ${oneLine(device, 80)}${torch === undefined ? '' : `, torch ${oneLine(torch, 40)}`}.\n- The incumbent (#${record.number}) took: ${facts.join(', ')}.`;
}

/** What is asked for now. */
export function taskSection(shown: Shown, tokens: number): string {
  const { number, plateau, repair, lessonsDue } = shown;
  const change =
    plateau.approach === null
      ? ''
      : `# A plateau\nNothing was kept in the last ${plateau.since} experiments. Change your approach now: ${APPROACH_TEXT[plateau.approach]}.`;
  const learn = lessonsDue
    ? '\nLessons are due: give in `lessons` all that hold now, at most 12, each one sentence with its evidence (#numbers). They replace the ones above.'
    : '';
  const task =
    repair === null
      ? `# Your task\nPropose experiment #${number}.${learn}`
      : repairText(repair, shown, Math.floor(tokens * 0.75));
  return [change, task].filter((text) => text !== '').join('\n\n');
}

function repairText(repair: Repairing, { number, diffs }: Shown, tokens: number): string {
  const { attempt, of, title, failure, commit } = repair;
  const trace = cut(failure.tail, Math.floor(tokens * 0.45));
  const patch = cut(diffs.get(commit) ?? '', Math.floor(tokens * 0.45));
  return `# Your task: repair experiment #${number}, attempt ${attempt} of ${of}
Its candidate ${JSON.stringify(oneLine(title, 140))} crashed: ${failure.reason}, ${JSON.stringify(oneLine(failure.message, 200))}.
Mend that, and keep the idea: the smallest edit that does. Your edits are to the crashed candidate's files, not to the
incumbent's: read_file shows those. If the idea itself is wrong, call give_up.

The end of its output:
${fenced(trace)}

What it had changed against the incumbent:
${fenced(patch, 'diff')}`;
}
