/** The process that writes an experiment into git is killed at any instant, and its git with it; done again, all is as if it had not been. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { experiment } from './steps';
import { git, makeLab, makeRun, makeStudy } from '../labs/make-lab';

const KILLS = 6;

function argumentsFor({ root, base }: ReturnType<typeof makeLab>): Parameters<typeof experiment> {
  const study = { ...makeStudy(root, base), lab: root, labId: 'lab' };
  const at = '2026-11-21T01:00:00.000Z';
  const edits = [{ path: 'train.py', content: 'print(1)\n' }];
  return [
    { format: 1, title: 'Simpler', hypothesis: 'It helps.', edits },
    { study, number: 0, incumbent: base, repair: null, at },
    {
      study,
      number: 0,
      incumbent: null,
      decision: { verdict: 'keep', reason: 'baseline', score: 1.9, detail: 'the baseline' },
      failure: null,
      runs: [makeRun(1.9)],
      taken: study.waiting,
      repairs: [],
      startedAt: at,
      finishedAt: '2026-11-21T01:01:00.000Z',
      dollars: 0,
      seal: 'graph',
      class: { device: 'cpu', torch: '2.15', lab: 'lab', data: 'data' },
      limits: study.limits,
    },
  ];
}

/** Runs the steps in a process group of their own. */
function start(lab: ReturnType<typeof makeLab>) {
  return fork(
    join(__dirname, 'child.js'),
    [join(__dirname, 'steps.ts'), 'experiment', JSON.stringify(argumentsFor(lab))],
    {
      detached: true,
    },
  );
}

/** Names and objects, but for the ledger: study.json names the lab's own folder. */
function refs({ root }: ReturnType<typeof makeLab>): string[] {
  const all = git(root, 'for-each-ref', '--format=%(refname) %(objectname)').split('\n');
  return all.map((line) => (line.includes('ledger') ? (line.split(' ')[0] ?? '') : line));
}

test('killed anywhere, done again: the same refs, one record, nothing broken', async () => {
  const undisturbed = makeLab();
  const whole = start(undisturbed);
  await once(whole, 'message');
  const begun = performance.now();
  expect(await once(whole, 'exit')).toEqual([0, null]);
  const length = performance.now() - begun;

  for (let kill = 1; kill <= KILLS; kill++) {
    const lab = makeLab();
    const first = start(lab);
    await once(first, 'message');
    const ended = once(first, 'exit');
    await sleep((length * kill) / (KILLS + 1));
    try {
      process.kill(-first.pid!, 'SIGKILL');
    } catch {
      // It was done before.
    }
    await ended;
    expect(await once(start(lab), 'exit')).toEqual([0, null]);
    expect(refs(lab)).toEqual(refs(undisturbed));
    expect(git(lab.root, 'rev-list', '--count', 'autoresearch-ledger/nov21')).toBe('2');
    expect(git(lab.root, 'fsck', '--strict', '--no-dangling')).toBe('');
  }
}, 400_000);
