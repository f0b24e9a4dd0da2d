/** Numbers as people read them. */
import { scoreText } from '../../domain/numbers';

/** A score in a table. */
export const scoreCell = (score: number | null): string => (score === null ? '–' : scoreText(score));

/** `47 s`, `3 min 05 s`, `2 h 10 min` */
export function durationText(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 90) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 90) return `${minutes} min ${String(whole % 60).padStart(2, '0')} s`;
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, '0')} min`;
}

export const shortHash = (commit: string): string => commit.slice(0, 7);
