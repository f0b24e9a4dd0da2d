/** What a researcher leaves beside its edits, for tests. */
import type { Research } from '../../src/domain/experiment';

export function makeResearch(change: Partial<Research> = {}): Research {
  return {
    expected: 'a little better',
    knobs: [],
    program: 'p'.repeat(64),
    meaning: null,
    hints: [],
    idea: null,
    lessons: null,
    ranges: [],
    approach: null,
    usage: null,
    dearestCall: null,
    assumed: null,
    ...change,
  };
}
