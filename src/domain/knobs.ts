/**
 * Hyperparameters (`knobs` in lab.yaml) are constants at the top of an editable file, one per line:
 * `MATRIX_LR = 0.02  # comment`. Reading and setting one edits only its literal, so that comments and alignment survive.
 */
import type { Knob } from './lab';
import type { ExperimentRecord } from './experiment';

export type KnobValue = number | string | boolean;

/** A hyperparameter's constant is missing, occurs twice, or is not a plain literal. */
export class KnobError extends Error {
  override name = 'KnobError';
}

const LITERAL = String.raw`([-+]?(?:\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(?:[eE][-+]?\d+)?|True|False|"[^"\\\n]*"|'[^'\\\n]*')`;

function constantLine(name: string): RegExp {
  return new RegExp(String.raw`^(\ufeff?${name}[ \t]*=[ \t]*)${LITERAL}(?=[ \t]*(?:#.*)?$)`, 'gm');
}

/** @throws KnobError unless exactly one line of `text` sets the hyperparameter to a literal */
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

/** The edit that sets the hyperparameter to this value and changes nothing else. */
export function turnKnob(knob: Knob, text: string, value: KnobValue): { search: string; replace: string } {
  readKnob(knob, text);
  const line = text.split('\n').find((candidate) => constantLine(knob.name).test(candidate)) ?? '';
  const turned = line.replace(
    constantLine(knob.name),
    (_line, head: string) => head + formatLiteral(knob, value),
  );
  // The line break before the line keeps `search` from matching the end of a longer line.
  const before = text.startsWith(`${line}\n`) ? '' : '\n';
  return { search: before + line, replace: before + turned };
}

/** True if the hyperparameter may have this value. A candidate may have moved the constant out of range. */
export function admits(knob: Knob, value: KnobValue): boolean {
  if (knob.type === 'choice') return knob.values.includes(value);
  if (typeof value !== 'number' || value < knob.low || value > knob.high) return false;
  return knob.type === 'float' || (Number.isInteger(value) && (value - knob.low) % knob.step === 0);
}

/** A numeric optimiser learns little about more hyperparameters in a night. */
const MOST_KNOBS = 24;
/** The largest ratio of a proposed range's ends; for a range that contains 0, of an end and the current value. */
const WIDEST = 1000;

/**
 * The incumbent's hyperparameters: lab.yaml's, then those for which a researcher gave a sensible range. Of several ranges for
 * one name the latest record's counts.
 * @param files text of the incumbent's editable files, by path
 */
export function knobsNow(
  ofLab: readonly Knob[],
  records: readonly Pick<ExperimentRecord, 'research'>[],
  files: Readonly<Record<string, string>>,
): Knob[] {
  const proposed = new Map<string, Knob>();
  for (const knob of records.flatMap(({ research }) => research?.ranges ?? [])) {
    // Optuna identifies a hyperparameter by its name alone.
    if (!ofLab.some(({ name }) => name === knob.name) && isSensible(knob, files))
      proposed.set(knob.name, knob);
  }
  const there = ofLab.filter((knob) => knobValue(knob, files[knob.file] ?? '') !== null);
  const room = Math.max(0, MOST_KNOBS - there.length);
  return [...there, ...(room === 0 ? [] : [...proposed.values()].slice(-room))];
}

/** The hyperparameter's value; null when its constant is missing or out of range. */
export function knobValue(knob: Knob, text: string): KnobValue | null {
  try {
    const value = readKnob(knob, text);
    return admits(knob, value) ? value : null;
  } catch (error) {
    if (!(error instanceof KnobError)) throw error;
    return null;
  }
}

/** True if an optimiser may search this range, which no person has checked. */
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

/** The value as a Python literal. The optimiser has already rounded floats. */
function formatLiteral(knob: Knob, value: KnobValue): string {
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  if (typeof value === 'string') return `"${value}"`;
  if (knob.type !== 'float') return String(value);
  const text = String(value);
  return /[.e]/.test(text) ? text : `${text}.0`;
}

/** A title such as `MATRIX_LR 0.02 → 0.031, DEPTH 4 → 5 and 3 more`, largest changes first. */
export function describeChanges(changes: readonly { knob: Knob; from: KnobValue; to: KnobValue }[]): string {
  const bySize = changes.toSorted((a, b) => stepSize(b) - stepSize(a));
  const shown = bySize
    .slice(0, 3)
    .map(({ knob, from, to }) => `${knob.name} ${String(from)} → ${String(to)}`);
  const rest = changes.length - shown.length;
  return shown.join(', ') + (rest > 0 ? ` and ${rest} more` : '');
}

/** The change as a fraction of the range; 1 for a choice. */
function stepSize({ knob, from, to }: { knob: Knob; from: KnobValue; to: KnobValue }): number {
  if (knob.type === 'choice' || typeof from !== 'number' || typeof to !== 'number') return 1;
  if (!knob.log) return Math.abs(to - from) / (knob.high - knob.low);
  return (
    Math.abs(Math.log(Math.max(to, knob.low) / Math.max(from, knob.low))) / Math.log(knob.high / knob.low)
  );
}
