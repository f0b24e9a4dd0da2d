import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { cleanUpRuns } from '../../src/runs/clean-up';
import type { ExperimentRecord, Verdict } from '../../src/domain/experiment';
import { studyState } from '../../src/process/paths';

const before = process.env['XDG_STATE_HOME'];
const home = mkdtempSync(join(tmpdir(), 'clean-'));
beforeAll(() => {
  process.env['XDG_STATE_HOME'] = home;
});
afterAll(() => {
  process.env['XDG_STATE_HOME'] = before;
  rmSync(home, { recursive: true });
});

const STUDY = { lab: '/lab', labId: 'lab' };
const recordOf = (number: number, verdict: Verdict) =>
  ({ study: 'nov21', number, verdict }) as ExperimentRecord;

const place = (path: string): string => join(studyState('lab', 'nov21'), path);

/** A finished experiment of two runs, the second one lost once, and one that was put aside. */
function leave(number: string): (path: string) => string {
  for (const path of [
    'runs/N/1.json',
    'runs/N/1/submission/weights.safetensors',
    'runs/N/1/train-1/tree/train.py',
    'runs/N/1/train-1/scratch/x',
    'runs/N/1/train-1/log',
    'runs/N/1/train-1/status.json',
    'runs/N/1/score-1/out/score.json',
    'runs/N/1/score-1/log',
    'runs/N/2/submission/weights.safetensors',
    'runs/N/2/train-1/log',
    'runs/N/2/train-2/runner.log',
    'runs/N/1.replaced-1700000000000/train-1/log',
    'proposals/N/transcript.log',
    'proposals/N/ledger.jsonl',
  ]) {
    const file = place(path.replace('N', number));
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, `begin${'x'.repeat(1_000_000)}end`);
  }
  return (path) => place(path.replace('N', number));
}

test.each(['discard', 'crash', 'keep'] as const)(
  'after a %s, logs are short and the rest is gone',
  async (verdict) => {
    const number = ['discard', 'crash', 'keep'].indexOf(verdict) + 1;
    const at = leave(`000${number}`);
    await cleanUpRuns(recordOf(number, verdict), STUDY);
    await cleanUpRuns(recordOf(number, verdict), STUDY);
    for (const run of [1, 2])
      expect(existsSync(at(`runs/N/${run}/submission/weights.safetensors`))).toBe(verdict === 'keep');
    for (const gone of ['1/train-1/tree', '1/train-1/scratch', '1/score-1/out', '1.replaced-1700000000000'])
      expect(existsSync(at(`runs/N/${gone}`))).toBe(false);
    expect(existsSync(at('proposals/N/ledger.jsonl'))).toBe(false);
    for (const log of ['runs/N/1/train-1/log', 'runs/N/2/train-2/runner.log', 'proposals/N/transcript.log']) {
      expect(statSync(at(log)).size).toBeLessThan(64 * 1024);
      expect(readFileSync(at(log), 'utf8')).toMatch(/^beginx+\n.*\nx+end$/);
    }
    expect(existsSync(at('runs/N/1/train-1/status.json'))).toBe(true);
  },
);

test('what a killed process left half written is deleted', async () => {
  const halves = [
    'runs/0007/1.json.4711-0.tmp',
    'runs/0007/1/train-1/log.tmp',
    'runs/0007/1/train-1/status.json.4711-3.tmp',
    'runs/0007/1/score-1/status.json.4711.tmp',
    'base.partial-aB3xYz/train.py',
  ].map(place);
  const others = ['runs/0007/1/train-1/status.json', 'base.partial-Cd5uVw/train.py', 'base/train.py'].map(
    place,
  );
  for (const file of [...halves, ...others]) {
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, '{');
  }
  const hoursAgo = new Date(Date.now() - 2 * 3_600_000);
  for (const folder of ['base.partial-aB3xYz', 'base']) utimesSync(place(folder), hoursAgo, hoursAgo);
  await cleanUpRuns(recordOf(7, 'discard'), STUDY);
  expect(halves.filter((file) => existsSync(file))).toEqual([]);
  // The second export may still be in progress.
  expect(others.filter((file) => !existsSync(file))).toEqual([]);
});

test('what was never there needs no cleaning', async () => {
  await expect(cleanUpRuns(recordOf(99, 'crash'), STUDY)).resolves.toBeUndefined();
});
