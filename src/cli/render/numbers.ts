/** Numbers as people read them. */
import { scoreText } from '../../domain/numbers';

/** A score in a table. */
export const scoreCell = (score: number | null): string => (score === null ? '–' : scoreText(score));

export const shortHash = (commit: string): string => commit.slice(0, 7);
