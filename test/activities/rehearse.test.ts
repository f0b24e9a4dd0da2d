import { cpSync, existsSync } from 'node:fs';
import { join } from 'node:path';
import { createRehearse } from '../../src/activities/rehearse';
import type { ProposeInput } from '../../src/activities/interface';
import { parseLabConfig } from '../../src/lab/config';
import { studyState } from '../../src/process/paths';
import type { Objection } from '../../src/researchers/researcher';
import { CANDIDATE, pidsOf, Workshop } from '../runner/workshop';

jest.setTimeout(90_000);

let workshop: Workshop;
beforeAll(() => {
  workshop = new Workshop();
});
afterAll(() => workshop.close());

const study = { tag: 'nov21', workflowId: 'study-nov21', lab: '/lab', labId: 'abcd1234', base: 'base' };

function rehearse(candidate: string[], signal = new AbortController().signal): Promise<Objection | null> {
  const lab = parseLabConfig(
    JSON.stringify({
      version: 1,
      name: 'test',
      metric: { name: 'val_bpb', direction: 'minimize' },
      editable: ['train.py'],
      locked: ['lab.yaml'],
      data: { prepare: ['python', 'prepare.py'] },
      train: { command: ['python', 'candidate.py', ...candidate] },
      score: { command: ['python', 'score.py'] },
      caps: { scratch_bytes: 32 << 20, startup_seconds: 20 },
    }),
  );
  return createRehearse({
    runner: workshop.runner,
    exportTree: async (_study, _tree, folder) => cpSync(workshop.tree, folder, { recursive: true }),
    data: () => Promise.resolve(workshop.data),
    python: '/usr/bin/python3',
    device: 'cpu',
  })({ study, number: 1 } as ProposeInput, lab, 'tree', signal);
}

const folder = (): string => join(studyState('abcd1234', 'nov21'), 'proposals', '0001', 'rehearsal');

test('a candidate that starts, takes its step and hands in has nothing to mend, and leaves nothing', async () => {
  expect(await rehearse(['happy'])).toBeNull();
  expect(existsSync(folder())).toBe(false);
});

test('none of it is data', async () => {
  expect(await rehearse(['refuses_data'])).toBeNull();
});

test('what fails before its first step is told with the end of its traceback', async () => {
  const objection = await rehearse(['crash']);
  expect(objection).toMatchObject({ kind: 'startup', message: expect.stringContaining('Traceback') });
});

test('ended with whoever asked for it', async () => {
  const stop = new AbortController();
  const asked = rehearse(['silent'], stop.signal);
  while (pidsOf('candidate.py silent', CANDIDATE).length === 0)
    await new Promise((wake) => setTimeout(wake, 50));
  stop.abort();
  await expect(asked).rejects.toThrow('aborted');
  expect(pidsOf('candidate.py silent', CANDIDATE)).toEqual([]);
  expect(existsSync(folder())).toBe(false);
});
