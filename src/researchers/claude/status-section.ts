/** Where the study stands, as a section of the prompt: counts, noise, what is left of the limits, the incumbent's run. */
import { dollarText } from '../../domain/limits';
import { scoreText } from '../../domain/numbers';
import type { View } from './history-view';
import type { PromptInput } from './prompt-input';
import { oneLine } from './quote';
import { tokensText } from './record-text';

export function statusSection({ left, lab, history }: PromptInput, { noise, scale }: View): string {
  const limits = [
    left.experiments === null ? '' : `${left.experiments} experiments`,
    left.gpuHours === null ? '' : `${Number(left.gpuHours.toPrecision(3))} GPU-hours`,
    left.hours === null ? '' : `${Number(left.hours.toPrecision(3))} hours`,
    left.dollars === null ? '' : dollarText(left.dollars),
  ].filter((text) => text !== '');
  const spread =
    noise === null
      ? 'not measured, since no code ran with two seeds; small differences may be luck'
      : `a standard deviation of ${scale.decimals === null ? scoreText(noise) : noise.toFixed(scale.decimals + 1)} between runs of the same code`;
  const counts = (['keep', 'discard', 'crash'] as const).map(
    (verdict) => `${history.filter((record) => record.verdict === verdict).length} ${verdict}`,
  );
  return `# Where the study stands
- Experiments so far: ${history.length} (${counts.join(', ')}).
- Noise of ${lab.metric.name}: ${spread}.
- Left: ${limits.length === 0 ? 'no limit; the study runs until it is stopped' : limits.join(', ')}.${incumbentText(history)}`;
}

/** The incumbent's run and its device. */
function incumbentText(history: PromptInput['history']): string {
  const record = history.findLast(({ verdict }) => verdict === 'keep');
  const run = record?.runs.findLast(({ score }) => score !== null);
  if (record === undefined || run === undefined) return '';
  const { device = 'unknown', torch } = record.class;
  const { steps, tokens, parameters, peakMemoryMb } = run.metrics;
  const facts = [
    ...(steps === undefined ? [] : [`${steps} steps`]),
    ...(tokens === undefined ? [] : [`${tokensText(tokens)} tokens`]),
    `${run.trainSeconds.toFixed(0)} s`,
    `${run.startupSeconds.toFixed(0)} s to start up`,
    ...(parameters === undefined ? [] : [`${tokensText(parameters)} parameters`]),
    ...(peakMemoryMb === undefined ? [] : [`${peakMemoryMb.toFixed(0)} MB of memory at its peak`]),
  ];
  return `\n- Device: ${oneLine(device, 80)}${torch === undefined ? '' : `, torch ${oneLine(torch, 40)}`}.\n- The incumbent (#${record.number}) took: ${facts.join(', ')}.`;
}
