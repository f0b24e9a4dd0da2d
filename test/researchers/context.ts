/** A research context like those of the propose activity. */
import { DEFAULT_POLICY } from '../../src/domain/policies/choice';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExperimentRecord } from '../../src/domain/experiment';
import { UNLIMITED } from '../../src/domain/limits';
import { parseLabConfig, type LabConfig } from '../../src/labs/lab-yaml';
import { SpendGuard } from '../../src/researchers/spend-guard';
import type { ResearchContext } from '../../src/researchers/researcher';

export const TRAIN = `DEPTH = 4  # layers
LR    = 0.02  # peak learning rate
print("training")
`;

export const LAB: LabConfig = parseLabConfig(`
version: 1
name: knobs
metric: { name: val_bpb, direction: minimize }
editable: [train.py]
locked: [lab.yaml]
data: { prepare: [python, prepare.py] }
train: { command: [python, train.py] }
score: { command: [python, score.py] }
knobs:
  - { name: LR, type: float, low: 0.001, high: 1, log: true }
  - { name: DEPTH, type: int, low: 1, high: 12 }
`);

/** Past experiments whose "commits" are file contents, so that reading at a commit needs no git. */
export async function contextOf(
  past: { text: string; score: number | null }[],
  python = 'python3',
): Promise<ResearchContext> {
  const folder = await mkdtemp(join(tmpdir(), 'proposal-'));
  const history = past.map(
    ({ text, score }, number) => ({ number, commit: text, score }) as ExperimentRecord,
  );
  return {
    tag: 'test',
    number: past.length,
    lab: LAB,
    budget: { seconds: 300 },
    policy: DEFAULT_POLICY,
    others: [],
    program: 'Make it better.',
    incumbent: { commit: 'i'.repeat(40), files: { 'train.py': TRAIN } },
    history,
    readAt: (_path, commits) => Promise.resolve([...commits]),
    diffs: (commits) => Promise.resolve(commits.map(() => '')),
    hints: ['try less'],
    ideas: [],
    lessons: [],
    plateau: { since: 0, approach: null },
    left: UNLIMITED,
    repair: null,
    model: null,
    callDollars: null,
    spendGuard: await SpendGuard.open(join(folder, 'spent.jsonl'), null),
    check: () => Promise.resolve(null),
    refused: [],
    python,
    since: Date.now(),
    folder,
  };
}
