import { existsSync, mkdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { dirname, join } from 'node:path';
import { Git, GitError, RefConflict } from '../../src/ledger/git';
import { git, makeLab } from '../labs/make-lab';

const REF = 'refs/autoresearch/nov21/base';
const MINUTE_AGO = new Date(Date.now() - 60_000);

function lockRef(root: string, time: Date): string {
  const lock = join(root, '.git', `${REF}.lock`);
  mkdirSync(dirname(lock), { recursive: true });
  writeFileSync(lock, '');
  utimesSync(lock, time, time);
  return lock;
}

test('a ref moves by compare and swap', async () => {
  const { root, git: repository, base } = makeLab();
  const next = git(root, 'commit-tree', '-p', base, '-m', 'next', `${base}^{tree}`);
  await repository.moveRef(REF, base, null);
  await repository.moveRef(REF, base, null);
  await expect(repository.moveRef(REF, next, null)).rejects.toThrow(RefConflict);
  await repository.moveRef(REF, next, base);
  expect(git(root, 'rev-parse', REF)).toBe(next);
  await expect(repository.moveRef(REF, base, base)).rejects.toMatchObject({ expected: base, actual: next });
});

test('of many moves of a ref at once, one wins', async () => {
  const { root, git: repository, base } = makeLab();
  await repository.moveRef(REF, base, null);
  const commits = Array.from({ length: 8 }, (_, index) =>
    git(root, 'commit-tree', '-p', base, '-m', `${index}`, `${base}^{tree}`),
  );
  const ends = await Promise.allSettled(commits.map((commit) => repository.moveRef(REF, commit, base)));
  expect(ends.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
  const reasons = ends.flatMap((end) => (end.status === 'rejected' ? [end.reason as unknown] : []));
  for (const reason of reasons) expect(reason).toBeInstanceOf(RefConflict);
});

test('a lock of a killed git is removed', async () => {
  const { root, git: repository, base } = makeLab();
  const lock = lockRef(root, MINUTE_AGO);
  await repository.moveRef(REF, base, null);
  expect(git(root, 'rev-parse', REF)).toBe(base);
  expect(existsSync(lock)).toBe(false);
});

test('a lock from the future, left before the clock was set back, is removed as well', async () => {
  const { root, git: repository, base } = makeLab();
  const lock = lockRef(root, new Date(Date.now() + 3_600_000));
  await repository.moveRef(REF, base, null);
  expect(git(root, 'rev-parse', REF)).toBe(base);
  expect(existsSync(lock)).toBe(false);
});

test('a lock is respected while git works on the repository', async () => {
  const { root, git: repository, base } = makeLab();
  const lock = lockRef(root, MINUTE_AGO);
  const working = spawn('git', ['cat-file', '--batch'], { cwd: root, stdio: ['pipe', 'ignore', 'ignore'] });
  const moved = repository.moveRef(REF, base, null);
  const early = await Promise.race([
    moved.then(() => 'moved'),
    new Promise((done) => setTimeout(done, 3_000, 'waits')),
  ]);
  expect(early).toBe('waits');
  expect(existsSync(lock)).toBe(true);
  working.stdin.end();
  await once(working, 'exit');
  await moved;
  expect(existsSync(lock)).toBe(false);
});

test('a git that only watches files does not count as working', async () => {
  const { root, git: repository, base } = makeLab();
  const lock = lockRef(root, MINUTE_AGO);
  // Not every git has the real daemon.
  const watcher = join(root, '.git', 'git');
  writeFileSync(watcher, '#!/bin/sh\nread -r line\n', { mode: 0o755 });
  const watching = spawn(watcher, ['fsmonitor--daemon', 'run'], {
    cwd: root,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  await once(watching, 'spawn');
  await repository.moveRef(REF, base, null);
  expect(existsSync(lock)).toBe(false);
  expect(watching.exitCode).toBeNull();
  watching.stdin.end();
});

test('a fresh lock is waited for', async () => {
  const { root, git: repository, base } = makeLab();
  const lock = lockRef(root, new Date());
  setTimeout(() => rmSync(lock), 500);
  await repository.moveRef(REF, base, null);
  expect(git(root, 'rev-parse', REF)).toBe(base);
});

test("an error has the command, the folder and git's message", async () => {
  const { root, git: repository } = makeLab();
  const error = await repository
    .text(['rev-parse', '--verify', 'nothing'])
    .catch((caught: unknown) => caught);
  expect(error).toBeInstanceOf(GitError);
  expect(String(error)).toMatch(
    `git rev-parse --verify nothing failed in ${root}: fatal: Needed a single revision`,
  );
});

test('a missing git is reported', async () => {
  const { root } = makeLab();
  const path = process.env['PATH'];
  process.env['PATH'] = '/nowhere';
  try {
    await expect(new Git(root).text(['status'])).rejects.toThrow(/could not start git.*Is it installed/);
  } finally {
    process.env['PATH'] = path;
  }
});
