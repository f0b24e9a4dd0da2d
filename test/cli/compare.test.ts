import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { appendRecord, openLedger, saveStudy } from '../../src/ledger/ledger';
import { Git } from '../../src/ledger/git';
import type { ExperimentRecord } from '../../src/domain/experiment';
import { makeLab, makeRecord, makeStudy, temporary } from '../labs/make-lab';
import { asJson, autoresearch, labWith } from './invoke';

/** A baseline of 2, then these scores: null crashes, a better one is kept. */
function scored(...scores: (number | null)[]): Partial<ExperimentRecord>[] {
  let best = 2;
  return [2, ...scores].map((score, number) => {
    if (score === null) return { score, verdict: 'crash', reason: 'rejected' };
    const keeps = number === 0 || score < best;
    if (keeps) best = score;
    return {
      score,
      verdict: keeps ? 'keep' : 'discard',
      dollars: number === 0 ? 0 : 0.5,
      repeatsRefused: number,
    };
  });
}

test('gain, cost and curves of each study, and a band where several share a researcher', async () => {
  const { root } = await labWith({
    one: scored(1.9, 1.95, null, 1.8),
    two: scored(2.1, 1.6),
    other: scored(1.5),
  });
  const git = new Git(root);
  const base = makeStudy(root, (await git.resolve('HEAD')) ?? '', 'other');
  await saveStudy(git, { ...base, researcher: 'command' });

  const { exitCode, document } = await asJson('compare', 'one', 'two', 'other', '--lab', root);
  expect(exitCode).toBe(0);
  expect(document).toMatchObject({ comparable: true, differing: [] });
  const [one, two] = document.studies;
  expect(one).toMatchObject({
    name: 'one',
    kind: 'tpe',
    experiments: 5,
    kept: 2,
    discarded: 1,
    crashed: 1,
    rejected: 1,
    best: 1.8,
    dollars: 1.5,
    repeatsRefused: 7,
  });
  expect(one.gain).toBeCloseTo(0.1);
  expect(one.gainPerDollar).toBeCloseTo(0.1 / 1.5);
  // Each run holds the device for 5 s, and its scoring for 2.
  expect(one.gainPerGpuHour).toBeCloseTo(0.1 / ((5 * 7) / 3600));
  expect(one.curve.map(({ gain }: { gain: number }) => Number(gain.toFixed(3)))).toEqual([
    0, 0.05, 0.05, 0.05, 0.1,
  ]);
  expect(two.gain).toBeCloseTo(0.2);
  const [tpe, command] = document.bands;
  expect(tpe).toMatchObject({ kind: 'tpe', studies: ['one', 'two'] });
  expect(tpe.points).toHaveLength(3);
  expect(tpe.points[2].mean).toBeCloseTo(0.125);
  expect(tpe.points[2].spread).toBeCloseTo(0.106, 3);
  expect(command).toMatchObject({ kind: 'command', studies: ['other'] });
  expect(command.points.at(-1)).toEqual({ experiment: 1, mean: 0.25, spread: 0 });

  const csv = join(temporary('curves'), 'curves.csv');
  const { stdout } = await autoresearch('compare', 'one', 'two', 'other', '--lab', root, '--csv', csv);
  expect(stdout).toMatch(/^two +20 % +1\.6000 +3 +1 +1 +0 +0 +tpe$/m);
  expect(stdout).toMatch(/^ {2}a {2}tpe, 2 studies: 12\.5 % ± 10\.6 % at #2$/m);
  expect(stdout).toMatch(/^ +25\.0 % ┤ +b/m);
  expect(Math.max(...stdout.split('\n').map((line) => line.length))).toBeLessThanOrEqual(80);
  const rows = readFileSync(csv, 'utf8').trimEnd().split('\n');
  expect(rows).toHaveLength(1 + 5 + 3 + 2);
  expect(rows.at(-1)).toMatch(/^other,command,1,0\.00\d+,0\.25$/);
});

test('what cannot be compared is refused, and names what differs; forced, it says so', async () => {
  const here = await labWith({ same: scored(1.9) });
  const { root, git, base } = makeLab();
  const study = { ...makeStudy(root, base, 'same'), metric: 'accuracy', budget: { seconds: 60 } };
  await openLedger(git, study);
  const runClass = { device: 'H200', torch: '2.15', lab: 'lab', data: 'data' };
  await appendRecord(git, study, makeRecord(study, 0, { commit: base, score: 2, class: runClass }));

  const both = ['compare', 'same', '--lab', here.root, '--lab', root];
  const refused = await autoresearch(...both);
  expect(refused.exitCode).toBe(6);
  expect(refused.stderr).toContain(
    'metric (val_bpb, accuracy); budget of a run (10 steps, 60 s); device (cpu, H200)',
  );
  const forced = await autoresearch(...both, '--force');
  expect(forced.exitCode).toBe(0);
  expect(forced.stdout).toMatch(/^NOT COMPARABLE: they differ in metric/);
  expect((await asJson(...both, '--force')).document).toMatchObject({ comparable: false });
});

test('one study, and one that is not there, are usage errors that say what to do', async () => {
  const { root } = await labWith({ lonely: scored(1.9) });
  expect(await autoresearch('compare', 'lonely', '--lab', root)).toMatchObject({
    exitCode: 2,
    stderr: expect.stringContaining('two or more'),
  });
  expect(await autoresearch('compare', 'lonely', 'gone', '--lab', root)).toMatchObject({
    exitCode: 5,
    stderr: expect.stringContaining('there is no study gone'),
  });
});

test('a study whose baseline is still under way, or crashed, has no curve and hides no other', async () => {
  const { root } = await labWith({
    begun: [],
    failed: [{ score: null, verdict: 'crash' }],
    good: scored(1.9),
  });
  const { exitCode, document } = await asJson('compare', 'begun', 'failed', 'good', '--lab', root);
  expect(exitCode).toBe(0);
  expect(document.studies.map(({ gain }: { gain: number | null }) => gain)).toEqual([
    null,
    null,
    expect.closeTo(0.05),
  ]);
  const { stdout } = await autoresearch('compare', 'begun', 'failed', '--lab', root);
  expect(stdout).toContain('no score yet');
});
