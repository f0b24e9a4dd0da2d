/** What `status` prints: one glance at a study. */
import { amount, durationText } from '../../domain/numbers';
import { budgetText } from '../../domain/budget';
import { waitingText } from '../../domain/waiting';
import { dollarText, type Limits } from '../../domain/limits';
import { addAssumed, type Assumed } from '../../domain/money';
import { APPROACH_TEXT } from '../../domain/plateau';
import { cleanLine, colour } from '../output';
import type { CurrentExperiment, PendingActivity, Snapshot } from '../../studies/snapshot';
import { historyTable } from './history';
import { scoreCell, shortHash } from './numbers';
import { terminalWidth } from './table';
import { wrap } from './wrap';

const LAST = 5;
const INDENT = ' '.repeat(9);

export function statusText(snapshot: Snapshot, width = terminalWidth()): string {
  const { study, sandbox, link, problem } = snapshot;
  const facts: [string, string][] = [];
  const now = nowText(snapshot);
  if (now !== null) facts.push(['now', now]);
  for (const line of retryLines(snapshot)) facts.push(['problem', colour.yellow(line)]);
  facts.push(['best', bestText(snapshot)]);
  facts.push(['budget', spentText(withProposing(snapshot))]);
  const money = moneyText(snapshot);
  if (money !== null) facts.push(['money', money]);
  const cost = perKeep(withProposing(snapshot));
  if (cost !== null) facts.push(['a keep', cost]);
  facts.push(['a run', budgetText(study.budget)]);
  if (study.plateau.approach !== null) facts.push(['plateau', plateauText(study)]);
  const waits = waitingText(study);
  if (waits !== '') facts.push(['waiting', waits]);
  if (study.refused !== null) facts.push(['refused', colour.yellow(cleanLine(study.refused))]);
  facts.push(['sandbox', sandboxText(sandbox)]);
  facts.push(['lab', cleanLine(study.lab)]);
  if (link !== null) facts.push(['Temporal', link]);
  const lines = [
    `${colour.bold(study.tag)} · ${phaseText(snapshot)} · researcher ${study.researcher}`,
    wrap(cleanLine(study.line), width),
    '',
    ...facts.map(([name, text]) => `${colour.dim(name.padEnd(INDENT.length))}${wrap(text, width, INDENT)}`),
  ];
  if (problem !== null) lines.push('', colour.yellow(wrap(cleanLine(problem, 500), width)));
  if (study.recent.length > 0) lines.push('', historyTable(study.recent, study, { width, last: LAST }));
  return lines.join('\n');
}

/** The phase in a word, and why the study waits. */
export function phaseText({
  study: { phase, reason },
}: {
  study: Pick<Snapshot['study'], 'phase' | 'reason'>;
}): string {
  const paint = phase === 'running' ? colour.green : phase === 'stopped' ? colour.dim : colour.yellow;
  const why = reason !== null && phase !== 'stopped' ? `: ${cleanLine(reason, 500)}` : '';
  return paint(`${phase}${why}`);
}

/** What happens just now; null when nothing does. */
export function nowText({ current, opening, failing, study }: Snapshot): string | null {
  if (current === null)
    return opening === null || study.phase !== 'opening' ? null : 'preparing the data and the branches';
  const title = current.title === null ? '' : ` · ${cleanLine(current.title, 100)}`;
  return `#${current.number} ${failing === null ? stepText(current) : STANDS_STILL}${title}`;
}

export const STANDS_STILL = 'stands still: its workflow task fails';
const QUEUED = 'waiting for the device';
/** Activities, and phases of a run whose names do not speak for themselves. */
const STEPS: Record<string, string> = {
  propose: 'proposing a change',
  apply: 'committing the change',
  train: 'training',
  evaluate: 'scoring',
  record: 'recording the verdict',
  endWork: 'ending what is at work',
  queued: QUEUED,
  submitting: 'submitting the weights',
};

const ON_DEVICE = new Set(['train', 'evaluate']);

/** `training · step 120 · loss 3.412 · 8 s left` */
export function stepText({ activity }: CurrentExperiment): string {
  if (activity === null) return 'between two steps';
  if (activity.isWaiting && ON_DEVICE.has(activity.name)) return QUEUED;
  const { progress } = activity;
  const step = STEPS[progress?.phase ?? ''] ?? progress?.phase ?? STEPS[activity.name] ?? activity.name;
  const parts = [cleanLine(step, 40)];
  if (progress !== null && progress.step > 0) parts.push(`step ${progress.step}`);
  if (progress !== null && progress.loss !== null) parts.push(`loss ${progress.loss.toFixed(3)}`);
  if (progress !== null && progress.secondsLeft !== null)
    parts.push(`${durationText(progress.secondsLeft)} left`);
  return parts.join(' · ');
}

/** A step that failed and is tried again, with the reason of the last failure. */
function retryLines({ current, opening }: Snapshot): string[] {
  return [current?.activity ?? null, opening].filter((activity) => activity !== null).flatMap(retryText);
}

export function retryText({ name, attempt, next, lastFailure }: PendingActivity): string[] {
  if (attempt < 2 || lastFailure === null) return [];
  const seconds = next === null ? 0 : (next - Date.now()) / 1000;
  const when = seconds < 1 ? '' : ` in ${durationText(seconds)}`;
  return [`${name}, attempt ${attempt}${when}: ${cleanLine(lastFailure, 400)}`];
}

function bestText({ study: { incumbent, metric, recent } }: Snapshot): string {
  if (incumbent === null || incumbent.score === null) return 'nothing yet: the baseline comes first';
  const title = recent.find(({ number }) => number === incumbent.experiment)?.title;
  const what = title === undefined ? '' : ` · ${cleanLine(title, 60)}`;
  return `${metric} ${scoreCell(incumbent.score)} at #${incumbent.experiment} (${shortHash(incumbent.commit)})${what}`;
}

function sandboxText(sandbox: Snapshot['sandbox']): string {
  if (sandbox === null) return colour.dim('not known before the first run');
  return sandbox === 'none'
    ? colour.red('none: runs are NOT contained, see `npx autoresearch doctor`')
    : sandbox;
}

/** tpe has one approach only, and cannot change it. */
function plateauText({ plateau: { since, approach }, researcher }: Snapshot['study']): string {
  const asked = approach === null || researcher === 'tpe' ? '' : `; asked to ${APPROACH_TEXT[approach]}`;
  return `nothing kept in ${since} experiments${asked}`;
}

/** `5 of 7 experiments · GPU 3 min 05 s · wall 3 min 20 s of 2 h 00 min` */
export function spentText({ limits, spent }: Pick<Snapshot['study'], 'limits' | 'spent'>): string {
  const parts = [
    `${outOf(String(spent.experiments), limits.experiments, String)} experiments`,
    `GPU ${outOf(durationText(spent.gpuSeconds), limits.gpuHours, hoursText)}`,
    `wall ${outOf(durationText(spent.seconds), limits.hours, hoursText)}`,
  ];
  if (spent.dollars > 0 || limits.dollars !== null)
    parts.push(outOf(dollarText(spent.dollars), limits.dollars, dollarText));
  if (Object.values(limits).every((limit) => limit === null)) parts.push('no limits');
  return parts.join(' · ');
}

/** The money of a study with that of the experiment which is not recorded yet. */
function withProposing({ study, proposing: { settled, assumed } }: Snapshot): Snapshot['study'] {
  const { spent } = study;
  const dollars = spent.dollars + settled + (assumed?.dollars ?? 0);
  return { ...study, spent: { ...spent, dollars, assumed: addAssumed(spent.assumed, assumed) } };
}

/**
 * `$0.50 set aside for a call that has not said what it cost · $0.25 left · 2 calls without a readable cost, counted at $0.75
 * each`: with what is spent, the first two add up to the limit. Null where there is nothing to say.
 */
export function moneyText(snapshot: Snapshot): string | null {
  const { limits, spent, gpuDollarsAside } = withProposing(snapshot);
  const { aside } = snapshot.proposing;
  const parts: string[] = [];
  if (aside !== null && aside.dollars > 0)
    parts.push(`${dollarText(aside.dollars)} set aside for ${amount(aside.calls, 'call')} under way or lost`);
  if (limits.dollars !== null) {
    if (gpuDollarsAside > 0) parts.push(`${dollarText(gpuDollarsAside)} set aside for GPU time`);
    const left = limits.dollars - spent.dollars - (aside?.dollars ?? 0) - gpuDollarsAside;
    parts.push(`${dollarText(Math.max(0, left))} left`);
  }
  if (spent.assumed !== null) parts.push(assumedText(spent.assumed));
  return parts.length === 0 ? null : parts.join(' · ');
}

function assumedText({ calls, dollars, most }: Assumed): string {
  const what = `${amount(calls, 'call')} without a readable cost`;
  if (dollars === 0) return `${what}, not counted`;
  if (calls === 1) return `${what}, counted at ${dollarText(dollars)}`;
  const isEach = Math.abs(most * calls - dollars) < 1e-9 * dollars;
  return `${what}, counted at ${isEach ? `${dollarText(most)} each` : `${dollarText(dollars)} in all`}`;
}

/** `$1.20 · GPU 42 min`: what each kept improvement has cost. The baseline is kept by definition, and improves nothing. */
function perKeep({ spent: { dollars, gpuSeconds }, kept }: Snapshot['study']): string | null {
  if (kept < 2) return null;
  const money = dollars > 0 ? `${dollarText(dollars / (kept - 1))} · ` : '';
  return `${money}GPU ${durationText(gpuSeconds / (kept - 1))}`;
}

const outOf = (used: string, limit: number | null, text: (limit: number) => string): string =>
  limit === null ? used : `${used} of ${text(limit)}`;

const hoursText = (hours: number): string => durationText(hours * 3600);

/** `at most 12 experiments`, or that nothing ends it. */
export function limitText({ experiments, gpuHours, hours, dollars }: Limits): string {
  const parts = [
    ...(experiments === null ? [] : [amount(experiments, 'experiment')]),
    ...(gpuHours === null ? [] : [amount(gpuHours, 'GPU-hour')]),
    ...(hours === null ? [] : [amount(hours, 'hour')]),
    ...(dollars === null ? [] : [dollarText(dollars)]),
  ];
  return parts.length === 0 ? 'it never stops until you say so' : `it waits after ${parts.join(' or ')}`;
}
