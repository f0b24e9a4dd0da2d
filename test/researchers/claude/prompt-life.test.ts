/** The prompt during a long study: it stays within its budget. */
import { DEFAULT_POLICY } from '../../../src/domain/policies/choice';
import { backlog, lessons } from '../../../src/domain/ideas';
import { plateauOf } from '../../../src/domain/plateau';
import { UNLIMITED } from '../../../src/domain/limits';
import { buildPrompt, wantedDiffs } from '../../../src/researchers/claude/prompt';
import type { PromptInput } from '../../../src/researchers/claude/prompt-input';
import { syntheticStudy } from '../../ledger/synthetic';
import { LAB, TRAIN } from '../context';

const study = syntheticStudy(1000, TRAIN);

function shownAt(number: number): PromptInput {
  const history = study.records.slice(0, number);
  const kept = history.findLast(({ verdict }) => verdict === 'keep')!;
  const shown = {
    lab: LAB,
    budget: { seconds: 300 },
    policy: DEFAULT_POLICY,
    others: [],
    number,
    program: 'Make it better.',
    incumbent: { commit: kept.commit, files: { 'train.py': study.files.get(kept.commit) ?? '' } },
    history,
    hints: [],
    ideas: backlog(history),
    lessons: lessons(history).lessons,
    plateau: plateauOf(number - 1 - kept.number, 8),
    left: UNLIMITED,
    repair: null,
    lessonsDue: number % 10 === 0,
  };
  const diffs = new Map(wantedDiffs(shown).map((commit) => [commit, study.patches.get(commit) ?? '']));
  return { ...shown, diffs };
}

test.each([8_000, 32_000])('of %i tokens, after 1, 10, 100 and 1,000 experiments', (budget) => {
  const tokens = [1, 10, 100, 1000].map((number) => buildPrompt(shownAt(number), budget).tokens);
  expect(Math.max(...tokens)).toBeLessThanOrEqual(budget);
  // It grows with the history, and stops growing.
  expect(tokens[1]).toBeGreaterThan(tokens[0]!);
  expect(tokens[3]! / tokens[2]!).toBeLessThan(1.6);
});

test('after 1,000 experiments it still has the newest ones, the last keep and the plateau', () => {
  const shown = shownAt(1000);
  const text = buildPrompt(shown, 32_000)
    .content.map((block) => block.text)
    .join('\n');
  expect(text).toContain(shown.history.at(-1)!.title);
  expect(text).toContain(shown.history.findLast(({ verdict }) => verdict === 'keep')!.title);
  expect(text).toContain('# A plateau');
});
