/** What `verify` found, one line a difference. */
import type { Findings } from '../../ledger/verify/difference';
import type { Repaired } from '../../ledger/verify/repair';
import { cleanLine, colour } from '../output';

export interface Report extends Findings {
  tag: string;
  /** Records in the ledger. */
  experiments: number;
  /** Experiments whose workflows are still retained and were compared; null without a server. */
  workflows: number | null;
}

/** A table that is wholly wrong has as many differences as rows. */
const SHOWN = 20;
/** Longer than any of our own sentences. Titles by researchers may be longer. */
const WIDTH = 500;

export function verifiedText(
  { tag, experiments, workflows, differences, notes }: Report,
  repaired: Repaired | null,
): string {
  const lines = [
    ...(repaired?.done ?? []).map((line) => `${colour.green('mended:')} ${cleanLine(line, WIDTH)}`),
    ...(repaired?.left ?? []).map((line) => `${colour.red('not mended:')} ${cleanLine(line, WIDTH)}`),
  ];
  for (const { about, what, todo, repair } of differences.slice(0, SHOWN)) {
    const advice = repair === null ? todo : `\`npx autoresearch verify ${tag} --repair\` mends it`;
    lines.push(`${colour.red(`${about}:`)} ${cleanLine(what, WIDTH)} → ${cleanLine(advice, WIDTH)}`);
  }
  if (differences.length > SHOWN) lines.push(`… and ${differences.length - SHOWN} more: --json lists them`);
  const compared =
    workflows === null ? 'no server to compare workflows with' : `${count(workflows, 'workflow')} compared`;
  const outcome = differences.length === 0 ? 'everything agrees' : count(differences.length, 'difference');
  lines.push(
    ...notes.map((note) => `${colour.dim('note:')} ${note}`),
    `${tag}: ${count(experiments, 'experiment')}, ${compared}: ${outcome}`,
  );
  return lines.join('\n');
}

const count = (number: number, what: string): string => `${number} ${what}${number === 1 ? '' : 's'}`;
