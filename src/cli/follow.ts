/**
 * Follows a study: prints a line for each event, and at a terminal redraws a block below them. It prints the changes between
 * two snapshots only, so that it can start in the middle and survives a lost connection.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { changeText } from '../domain/status';
import type { ExperimentSummary } from '../domain/experiment';
import { cleanLine, colour } from './output';
import { takeSnapshotOver } from '../studies/take-snapshot';
import { VERDICT_COLOURS, verdictText } from './render/history';
import { scoreCell } from './render/numbers';
import { cut } from './render/wrap';
import { nowText, phaseText, retryText, STANDS_STILL, stepText } from './render/status';
import type { Connected } from '../temporal/connection';
import { withServer, type Live } from '../studies/with-server';
import type { Snapshot } from '../studies/snapshot';
import type { FoundStudy } from '../studies/find-study';

const POLL_MS = 1_000;
/** A busy machine may be slow to answer. Longer than this is reported. */
const PATIENCE_MS = 10_000;
/** How often step and loss are printed where nothing can be redrawn. */
const PRINT_MS = 10_000;

interface Followed {
  /** By Ctrl-C; the study goes on. */
  interrupted: boolean;
  /** null if it was interrupted before the first. */
  last: Snapshot | null;
}

/** Shows a study until `until` says so of a snapshot, or Ctrl-C. It waits for a server that goes away. */
export async function follow(
  study: FoundStudy,
  until: (snapshot: Snapshot) => boolean,
  json = false,
): Promise<Followed> {
  const interruption = new AbortController();
  const interrupt = (): void => interruption.abort();
  process.once('SIGINT', interrupt);
  const screen = json ? jsonLines(process.stdout) : createScreen(process.stdout);
  try {
    const last = await withServer((server, live) =>
      watch(study, server, live, screen, until, interruption.signal),
    );
    return { interrupted: interruption.signal.aborted, last };
  } finally {
    screen.end();
    process.removeListener('SIGINT', interrupt);
  }
}

async function watch(
  study: FoundStudy,
  server: Connected,
  live: Live,
  screen: Screen,
  until: (snapshot: Snapshot) => boolean,
  signal: AbortSignal,
): Promise<Snapshot | null> {
  let before: Snapshot | null = null;
  let answeredAt = performance.now();
  let isSilent = false;
  while (!signal.aborted) {
    const now = await takeSnapshotOver(study, server, live).catch((error: unknown) => {
      if (!live.isServerAway(error)) throw error;
      return null;
    });
    if (now !== null && now.study.phase !== 'unknown') {
      screen.show(eventsBetween(before, now), progressText(now), now);
      before = now;
      answeredAt = performance.now();
      isSilent = false;
      if (until(now)) break;
    } else if (!isSilent && performance.now() - answeredAt > PATIENCE_MS) {
      const why = now?.problem ?? 'the Temporal server does not answer: run `npx autoresearch up`';
      screen.show([colour.yellow(`${cleanLine(why, 400)}; waiting`)], null, now);
      isSilent = true;
    }
    await sleep(POLL_MS, undefined, { signal }).catch(() => undefined);
  }
  return before;
}

/** What happened between two snapshots, a line each; before the first one, what is there already. */
export function eventsBetween(before: Snapshot | null, now: Snapshot): string[] {
  const last = before?.study.recent.at(-1)?.number ?? -1;
  const lines = now.study.recent.filter(({ number }) => number > last).map((done) => verdictLine(done, now));
  const phase = phaseText(now);
  if (before === null || phase !== phaseText(before)) lines.push(`${now.study.tag} is ${phase}`);
  if (now.problem !== null && now.problem !== before?.problem)
    lines.push(colour.yellow(cleanLine(now.problem, 400)));
  const { current } = now;
  const was = before?.current ?? null;
  if (current !== null && current.number !== was?.number) lines.push(`${label(current.number)} begins`);
  if (current !== null && current.title !== null && current.number > 0 && current.title !== was?.title) {
    lines.push(`${label(current.number)} ${cleanLine(current.title, 100)}`);
  }
  for (const [then, activity] of [
    [was?.activity, current?.activity],
    [before?.opening, now.opening],
  ]) {
    if (activity && activity.attempt > (then?.name === activity.name ? then.attempt : 1))
      lines.push(...retryText(activity).map(colour.yellow));
  }
  return lines;
}

interface ProgressText {
  /** Which step it is, without the numbers that move within it; null for those that only pass by. */
  step: string | null;
  /** For a line that stays: the title was printed before. */
  line: string;
  /** For a line that is drawn anew. */
  block: string;
}

/** How far the running step is, and the score to beat; null when nothing runs. */
function progressText(now: Snapshot): ProgressText | null {
  const { current, failing, study } = now;
  if (current === null) {
    const text = nowText(now);
    return text === null ? null : { step: text, line: text, block: text };
  }
  const { number, title, activity } = current;
  const line = [
    `${label(number)} ${failing === null ? stepText(current) : STANDS_STILL}`,
    ...bestSoFar(study),
  ].join(' · ');
  const passesBy = activity === null || activity.isWaiting || activity.progress?.phase === 'queued';
  return {
    step: passesBy ? null : `${number} ${activity.name} ${activity.progress?.phase ?? ''}`,
    line,
    block: title === null ? line : `${line} · ${cleanLine(title, 100)}`,
  };
}

const bestSoFar = ({ incumbent }: Snapshot['study']): string[] =>
  incumbent === null || incumbent.score === null
    ? []
    : [`best ${scoreCell(incumbent.score)} at #${incumbent.experiment}`];

function verdictLine(done: ExperimentSummary, { study }: Snapshot): string {
  const { metric, baselineScore, recent } = study;
  // As they stood then: when several came between two looks, today's best says nothing of the first ones.
  const kept = recent.filter(({ verdict, number }) => verdict === 'keep' && number <= done.number);
  const toBeat = kept.findLast(({ number }) => number < done.number)?.score ?? baselineScore;
  const best = kept.at(-1);
  const paint = VERDICT_COLOURS[done.verdict];
  const parts = [verdictText(done).padEnd(8)];
  if (done.score !== null) {
    const change = changeText(done.score, toBeat);
    parts.push(`${metric} ${scoreCell(done.score)}${change === '' ? '' : ` (${change})`}`);
  }
  if (best !== undefined && best.score !== null)
    parts.push(`best ${scoreCell(best.score)} at #${best.number}`);
  return `${label(done.number)} ${paint(parts.join('  '))}`;
}

const label = (number: number): string => colour.bold(`#${number}`.padEnd(4));

interface Screen {
  /** Prints lines for good, and below them what happens just now: in a pipe only when it is news, or now and then. */
  show(lines: string[], now: ProgressText | null, snapshot: Snapshot | null): void;
  end(): void;
}

const SYNCHRONISED = { begin: '\u001B[?2026h', end: '\u001B[?2026l' };
const WRAP = { off: '\u001B[?7l', on: '\u001B[?7h' };
const ERASE_LINE = '\r\u001B[2K';

function createScreen(stream: NodeJS.WriteStream): Screen {
  return stream.isTTY ? terminalScreen(stream) : plainScreen(stream);
}

export function terminalScreen(stream: Pick<NodeJS.WriteStream, 'columns' | 'write'>): Screen {
  return {
    show: (lines, now) => {
      // One write, drawn at once: nothing half done is ever seen.
      const text = lines.map((line) => `${line}\n`).join('');
      // Without the cut, each character too many would overwrite the last one.
      const line = now === null ? '' : cut(`${colour.cyan('›')} ${now.block}`, stream.columns);
      const block = line === '' ? '' : `${WRAP.off}${line}${WRAP.on}`;
      stream.write(`${SYNCHRONISED.begin}${ERASE_LINE}${text}${block}${SYNCHRONISED.end}`);
    },
    end: () => void stream.write(ERASE_LINE),
  };
}

/** One JSON document a line, each time that the snapshot has changed. */
export function jsonLines(stream: Pick<NodeJS.WriteStream, 'write'>): Screen {
  let last = '';
  return {
    show: (_lines, _now, snapshot) => {
      const line = JSON.stringify(snapshot);
      if (snapshot !== null && line !== last) stream.write(`${line}\n`);
      last = line;
    },
    end: () => undefined,
  };
}

function plainScreen(stream: NodeJS.WriteStream): Screen {
  let printedAt = performance.now();
  let printedStep: string | null = null;
  return {
    show: (lines, now) => {
      const isNew = now !== null && now.step !== null && now.step !== printedStep;
      const isDue = now !== null && lines.length === 0 && performance.now() - printedAt >= PRINT_MS;
      const printed = isNew || isDue ? [...lines, now.line] : lines;
      if (printed.length === 0) return;
      printedAt = performance.now();
      printedStep = now?.step ?? printedStep;
      stream.write(printed.map((line) => `${line}\n`).join(''));
    },
    end: () => undefined,
  };
}
