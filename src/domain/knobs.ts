/**
 * Knobs are constants at the top of an editable file, one a line: `MATRIX_LR = 0.02  # comment`.
 * Reading and turning them is text surgery on that one literal, so that comments and alignment survive.
 */
import type { Knob } from './lab';
import type { ExperimentRecord } from './experiment';

export type KnobValue = number | string | boolean;

/** A knob's constant is missing, occurs twice, or is not a plain literal. */
export class KnobError extends Error {
  override name = 'KnobError';
}

const LITERAL = String.raw`([-+]?(?:\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(?:[eE][-+]?\d+)?|True|False|"[^"\\\n]*"|'[^'\\\n]*')`;

function constantLine(name: string): RegExp {
  return new RegExp(String.raw`^(\ufeff?${name}[ \t]*=[ \t]*)${LITERAL}(?=[ \t]*(?:#.*)?$)`, 'gm');
}

/** @throws KnobError unless exactly one line of `text` gives the knob a literal */
export function readKnob(knob: Knob, text: string): KnobValue {
  const lines = [...text.matchAll(constantLine(knob.name))];
  const literal = lines[0]?.[2];
  if (lines.length !== 1 || literal === undefined) {
    throw new KnobError(
      `${knob.file}: expected exactly one line "${knob.name} = <number, string or bool>", found ${lines.length}`,
    );
  }
  return parseLiteral(literal);
}

/** The line to search for and what to put in its place, so that the knob has this value and all else stays. */
export function turnKnob(knob: Knob, text: string, value: KnobValue): { search: string; replace: string } {
  readKnob(knob, text);
  const line = text.split('\n').find((candidate) => constantLine(knob.name).test(candidate)) ?? '';
  const turned = line.replace(
    constantLine(knob.name),
    (_line, head: string) => head + formatLiteral(knob, value),
  );
  // With the line break before it, the line cannot be mistaken for the end of a longer one.
  const before = text.startsWith(`${line}\n`) ? '' : '\n';
  return { search: before + line, replace: before + turned };
}

/** Can the knob take this value? A constant that a candidate moved out of range is none of the optimiser's trials. */
export function admits(knob: Knob, value: KnobValue): boolean {
  if (knob.type === 'choice') return knob.values.includes(value);
  if (typeof value !== 'number' || value < knob.low || value > knob.high) return false;
  return knob.type === 'float' || (Number.isInteger(value) && (value - knob.low) % knob.step === 0);
}

/** A numeric optimiser learns little about more knobs than these in a night. */
const MOST_KNOBS = 24;
/** A proposed range ends at most this factor from where it begins; one with zero in it, this factor from the value now. */
const WIDEST = 1000;

/**
 * The knobs that the incumbent has now: those of lab.yaml, then those for which a researcher gave a range (the latest
 * record's counts) while that is a sensible one for a constant of an editable file.
 * @param files the incumbent's editable files
 */
export function knobsNow(
  ofLab: readonly Knob[],
  records: readonly Pick<ExperimentRecord, 'research'>[],
  files: Readonly<Record<string, string>>,
): Knob[] {
  const proposed = new Map<string, Knob>();
  for (const knob of records.flatMap(({ research }) => research?.ranges ?? [])) {
    // Optuna, and people, know a knob by its name alone.
    if (!ofLab.some(({ name }) => name === knob.name) && isSensible(knob, files))
      proposed.set(knob.name, knob);
  }
  const there = ofLab.filter((knob) => knobValue(knob, files[knob.file] ?? '') !== null);
  const room = Math.max(0, MOST_KNOBS - there.length);
  return [...there, ...(room === 0 ? [] : [...proposed.values()].slice(-room))];
}

/** The knob's value, or null where its constant is missing, or out of its range. */
export function knobValue(knob: Knob, text: string): KnobValue | null {
  try {
    const value = readKnob(knob, text);
    return admits(knob, value) ? value : null;
  } catch (error) {
    if (!(error instanceof KnobError)) throw error;
    return null;
  }
}

/** Is this range one that an optimiser may be let loose in? Nobody has looked at it. */
function isSensible(knob: Knob, files: Readonly<Record<string, string>>): boolean {
  const now = knobValue(knob, files[knob.file] ?? '');
  if (now === null) return false;
  if (knob.type === 'choice') {
    return knob.values.every(
      (value) => typeof value === typeof now && (typeof value !== 'string' || /^[\w.+-]+$/.test(value)),
    );
  }
  if (knob.low >= knob.high || (knob.log && knob.low <= 0)) return false;
  const scale = knob.low > 0 ? knob.low : Math.abs(Number(now)) || 1;
  return Math.max(Math.abs(knob.low), Math.abs(knob.high)) <= WIDEST * scale;
}

function parseLiteral(literal: string): KnobValue {
  if (literal === 'True' || literal === 'False') return literal === 'True';
  if (literal.startsWith('"') || literal.startsWith("'")) return literal.slice(1, -1);
  return Number(literal.replaceAll('_', ''));
}

/** Python's spelling. The optimiser has rounded floats to what its range needs. */
function formatLiteral(knob: Knob, value: KnobValue): string {
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  if (typeof value === 'string') return `"${value}"`;
  if (knob.type !== 'float') return String(value);
  const text = String(value);
  return /[.e]/.test(text) ? text : `${text}.0`;
}

/** `MATRIX_LR 0.02 → 0.031, DEPTH 4 → 5 and 3 more`: the change as a title, biggest steps first. */
export function describeChanges(changes: readonly { knob: Knob; from: KnobValue; to: KnobValue }[]): string {
  const bySize = changes.toSorted((a, b) => stepSize(b) - stepSize(a));
  const shown = bySize
    .slice(0, 3)
    .map(({ knob, from, to }) => `${knob.name} ${String(from)} → ${String(to)}`);
  const rest = changes.length - shown.length;
  return shown.join(', ') + (rest > 0 ? ` and ${rest} more` : '');
}

/** How far a knob moved, as a share of its range; a choice moves all the way. */
function stepSize({ knob, from, to }: { knob: Knob; from: KnobValue; to: KnobValue }): number {
  if (knob.type === 'choice' || typeof from !== 'number' || typeof to !== 'number') return 1;
  if (!knob.log) return Math.abs(to - from) / (knob.high - knob.low);
  return (
    Math.abs(Math.log(Math.max(to, knob.low) / Math.max(from, knob.low))) / Math.log(knob.high / knob.low)
  );
}
