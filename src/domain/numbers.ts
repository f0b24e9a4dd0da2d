/** Scores, durations and counts as text, for people, records and models. */

/** Scores in this range are written with decimals, others with significant digits. */
const SMALLEST_FIXED = 0.01;
const LARGEST_FIXED = 1e6;
/** The digits of a double. */
const MOST_DIGITS = 17;

/** A score with `digits` decimals, or with `digits` significant digits where decimals would hide it. */
export function scoreText(score: number, digits = 4): string {
  const size = Math.abs(score);
  return size === 0 || (size >= SMALLEST_FIXED && size < LARGEST_FIXED)
    ? score.toFixed(digits)
    : score.toPrecision(digits);
}

/** Two scores with enough digits to tell them apart. */
export function scoreTexts(a: number, b: number, digits = 4): [string, string] {
  const texts: [string, string] = [scoreText(a, digits), scoreText(b, digits)];
  return texts[0] === texts[1] && a !== b && digits < MOST_DIGITS ? scoreTexts(a, b, digits + 1) : texts;
}

/** `47 s`, `3 min 05 s`, `2 h 10 min` */
export function durationText(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 90) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 90) return `${minutes} min ${String(whole % 60).padStart(2, '0')} s`;
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, '0')} min`;
}

/** `1 hint`, `2 hints` */
export const amount = (number: number, unit: string): string => `${number} ${unit}${number === 1 ? '' : 's'}`;
