/** Numbers as people read them. */

/** A score with four decimals, or four digits where decimals would hide it. */
export function scoreText(score: number | null): string {
  if (score === null) return '–';
  const size = Math.abs(score);
  return size === 0 || (size >= 0.01 && size < 1e6) ? score.toFixed(4) : score.toPrecision(4);
}

/** `47 s`, `3 min 05 s`, `2 h 10 min` */
export function durationText(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 90) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 90) return `${minutes} min ${String(whole % 60).padStart(2, '0')} s`;
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, '0')} min`;
}

export const shortHash = (commit: string): string => commit.slice(0, 7);
