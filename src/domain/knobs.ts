/**
 * Knobs are constants at the top of an editable file, one a line: `MATRIX_LR = 0.02  # comment`.
 * Reading and turning them is text surgery on that one literal, so that comments and alignment survive.
 */
import type { Knob } from '../lab/config';

export type KnobValue = number | string | boolean;

/** A knob's constant is missing, occurs twice, or is not a plain literal. */
export class KnobError extends Error {
  override name = 'KnobError';
}

const LITERAL = String.raw`([-+]?(?:\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(?:[eE][-+]?\d+)?|True|False|"[^"\\\n]*"|'[^'\\\n]*')`;

function constantLine(name: string): RegExp {
  return new RegExp(String.raw`^(${name}[ \t]*=[ \t]*)${LITERAL}(?=[ \t]*(?:#.*)?$)`, 'gm');
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

function parseLiteral(literal: string): KnobValue {
  if (literal === 'True' || literal === 'False') return literal === 'True';
  if (literal.startsWith('"') || literal.startsWith("'")) return literal.slice(1, -1);
  return Number(literal.replaceAll('_', ''));
}

/** Python's spelling. Floats keep three digits: more would be noise in a diff. */
function formatLiteral(knob: Knob, value: KnobValue): string {
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  if (typeof value === 'string') return `"${value}"`;
  if (knob.type !== 'float') return String(value);
  const text = String(Number(value.toPrecision(3)));
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
