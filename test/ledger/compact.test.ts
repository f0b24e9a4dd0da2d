import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { compact } from '../../src/ledger/compact';
import { experimentRef } from '../../src/ledger/refs';
import { git, makeLab } from '../labs/make-lab';

const MINUTE_AGO = new Date(Date.now() - 60_000);
const LEFT = ['packed-refs.lock', 'packed-refs.new'];
/** The lab is packed when experiment 99 is recorded. */
const HUNDREDTH = 99;

/** A lab with a branch that its user wants to delete. */
function makeLabWithBranch() {
  const lab = makeLab();
  git(lab.root, 'branch', 'done');
  const files = LEFT.map((name) => join(lab.root, '.git', name));
  const areLeft = (): boolean[] => files.map((file) => existsSync(file));
  const age = (time: Date): void => files.filter(existsSync).forEach((file) => utimesSync(file, time, time));
  return { ...lab, files, areLeft, age };
}

/** Tries, since a kill may come too early or too late. */
const KILLS = 50;

/** Kills git while it packs many refs, until it has left `files` behind. */
async function killPacking(root: string, base: string, files: string[]): Promise<void> {
  const refs = Array.from({ length: 200_000 }, (_, index) => `${base} ${experimentRef('nov20', index)}\n`);
  const packed = join(root, '.git', 'packed-refs');
  writeFileSync(packed, `# pack-refs with: peeled fully-peeled sorted \n${refs.toSorted().join('')}`);
  for (let kill = 0; kill < KILLS && !files.every((file) => existsSync(file)); kill++) {
    for (const file of files) rmSync(file, { force: true });
    // A finished packing would leave nothing to pack.
    git(root, 'update-ref', `refs/loose/${kill}`, base);
    const packing = spawn('git', ['pack-refs', '--all'], { cwd: root, stdio: 'ignore' });
    const gone = once(packing, 'exit');
    while (!files.every((file) => existsSync(file)) && packing.exitCode === null) await turn();
    packing.kill('SIGKILL');
    await gone;
  }
}

test('leftovers of a killed packing block neither deleting a branch nor the next packing', async () => {
  const { root, git: repository, base, files, areLeft, age } = makeLabWithBranch();
  await killPacking(root, base, files);
  expect(areLeft()).toEqual([true, true]);
  expect(() => git(root, 'branch', '-d', 'done')).toThrow('packed-refs.lock');

  age(MINUTE_AGO);
  await compact(repository, 1);
  expect(areLeft()).toEqual([false, false]);
  git(root, 'branch', '-d', 'done');
  await repository.moveRef(experimentRef('nov21', 1), base, null);
  await compact(repository, HUNDREDTH);
  expect(readFileSync(join(root, '.git', 'packed-refs'), 'utf8')).toContain(experimentRef('nov21', 1));
}, 180_000);

test('a packing that just began, or any while git works, is left alone', async () => {
  const { root, git: repository, files, areLeft, age } = makeLabWithBranch();
  for (const file of files) writeFileSync(file, '');
  await compact(repository, 1);
  expect(areLeft()).toEqual([true, true]);

  age(MINUTE_AGO);
  const working = spawn('git', ['cat-file', '--batch'], { cwd: root, stdio: ['pipe', 'ignore', 'ignore'] });
  await once(working, 'spawn');
  await compact(repository, 1);
  expect(areLeft()).toEqual([true, true]);
  working.stdin.end();
  await once(working, 'exit');
  await compact(repository, 1);
  expect(areLeft()).toEqual([false, false]);
}, 120_000);

test('every hundredth record packs objects and refs, and drops none', async () => {
  const { root, git: repository, base } = makeLabWithBranch();
  await repository.moveRef(experimentRef('nov21', 99), base, null);
  const loose = (): string => git(root, 'count-objects').split(' ')[0] ?? '';
  await compact(repository, HUNDREDTH - 1);
  expect(loose()).not.toBe('0');
  await compact(repository, HUNDREDTH);
  expect(loose()).toBe('0');
  expect(git(root, 'rev-parse', experimentRef('nov21', 99), 'done')).toBe(`${base}\n${base}`);
  expect(existsSync(join(root, '.git', experimentRef('nov21', 99)))).toBe(false);
});
