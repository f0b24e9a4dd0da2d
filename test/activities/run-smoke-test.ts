/** A smoke test of a workshop's candidate; one that is to lose its worker runs in a process of its own (test/ledger/child.js). */
import { cpSync } from 'node:fs';
import type { ProposeInput } from '../../src/activities/interface';
import { createSmokeTest } from '../../src/activities/smoke-test';
import type { Objection } from '../../src/researchers/researcher';
import type { Workshop } from '../runner/workshop';
import { labOf } from './lab';

export const STUDY = {
  tag: 'nov21',
  workflowId: 'study-nov21',
  lab: '/lab',
  labId: 'abcd1234',
  base: 'base',
};

export function smokeTest(
  { runner, tree, data }: Pick<Workshop, 'runner' | 'tree' | 'data'>,
  candidate: string[],
  signal = new AbortController().signal,
): Promise<Objection | null> {
  const lab = labOf(candidate, ['python', 'score.py'], { startup_seconds: 600 });
  return createSmokeTest({
    runner,
    exportTree: async (_study, _tree, folder) => cpSync(tree, folder, { recursive: true }),
    data: () => Promise.resolve(data),
    python: '/usr/bin/python3',
    device: 'cpu',
  })({ study: STUDY, number: 1 } as ProposeInput, lab, 'tree', signal);
}
