import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { storeCandidate } from '../../src/ledger/commits';
import { openLedger } from '../../src/ledger/ledger';
import { baseRef, branchRef } from '../../src/ledger/refs';
import { changesIn, makeWorkingCopy, removeCopies, type WorkingCopy } from '../../src/labs/working-copy';
import { FILES, git, makeLab, makeStudy, temporary, write } from './make-lab';

const LIMIT = 10_000;
const EDITABLE = ['train.py', 'src/model.py'];
const NOTHING = { edits: [], wrong: [], left: [] };
const TAG = 'nov21';

async function work(lab = makeLab(), commit = lab.base) {
  const path = join(temporary(), 'nested', 'work');
  const copy = await makeWorkingCopy({ lab: lab.root, base: lab.base }, { tag: TAG, commit, path });
  return { ...lab, copy, path };
}

const look = (copy: WorkingCopy, editable = EDITABLE) => changesIn(copy, editable, LIMIT);

/** A file system in memory, which containers and hosts have beside their disks. */
const MEMORY = '/dev/shm';
const hasOther = existsSync(MEMORY) && lstatSync(MEMORY).dev !== lstatSync(tmpdir()).dev;

(hasOther ? describe : describe.skip)('where there is another file system', () => {
  test('a copy on another file system than the lab, as state and labs often are', async () => {
    const lab = makeLab();
    const folder = mkdtempSync(join(MEMORY, 'autoresearch-copy-'));
    try {
      const path = join(folder, 'work');
      await makeWorkingCopy({ lab: lab.root, base: lab.base }, { tag: TAG, commit: lab.base, path });
      expect(git(path, 'status', '--porcelain')).toBe('');
      expect(git(path, 'fsck', '--strict')).toBe('');
      expect(existsSync(join(path, '.git', 'objects', 'info', 'alternates'))).toBe(false);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

test('a copy of a lab whose path has the separators of paths', async () => {
  const lab = makeLab();
  const root = `${lab.root}:"a\\b`;
  renameSync(lab.root, root);
  const path = join(temporary(), 'work');
  await makeWorkingCopy({ lab: root, base: lab.base }, { tag: TAG, commit: lab.base, path });
  expect(git(path, 'status', '--porcelain')).toBe('');
});

test('nothing changed is no edits', async () => {
  const { copy, path } = await work();
  expect(await look(copy)).toEqual(NOTHING);
  expect(git(path, 'status', '--porcelain')).toBe('');
});

test('what was edited, added and deleted are edits, committed or not; new files beside them are left out', async () => {
  const lab = makeLab({ ...FILES, 'conf/a.py': 'A = 1\n' });
  const { copy, path, root } = await work(lab);
  const editable = [...EDITABLE, 'new/one.py'];
  write(path, {
    'train.py': 'new\n',
    'notes/idea.md': 'x\n',
    'junk.pyc': 'x',
    'src/x.md': 'x',
    'new/one.py': '1\n',
  });
  unlinkSync(join(path, 'src/model.py'));
  const changes = {
    edits: [
      { path: 'train.py', content: 'new\n' },
      { path: 'src/model.py', delete: true },
      { path: 'new/one.py', content: '1\n' },
    ],
    wrong: [],
    left: ['junk.pyc', 'notes/', 'src/x.md'],
  };
  expect(await look(copy, editable)).toEqual(changes);
  git(path, 'add', '--all');
  git(path, 'commit', '--quiet', '--message', 'mine');
  expect(await look(copy, editable)).toEqual(changes);
  expect(git(root, 'status', '--porcelain')).toBe('');
  expect(git(root, 'rev-parse', 'main')).toBe(lab.base);
});

test('changed and changed back, and a mode, are no edit', async () => {
  const { copy, path } = await work();
  write(path, { 'train.py': 'new\n', 'score.py': 'new\n' });
  git(path, 'commit', '-qam', 'mine');
  git(path, 'reset', '--quiet', '--hard', 'HEAD~');
  chmodSync(join(path, 'score.py'), 0o755);
  chmodSync(join(path, 'train.py'), 0o600);
  expect(readFileSync(join(path, 'train.py'), 'utf8')).toBe(FILES['train.py']);
  expect(await look(copy)).toEqual(NOTHING);
});

test('a change of what is not editable, and what no edit can say, is named', async () => {
  const { copy, path } = await work();
  unlinkSync(join(path, 'train.py'));
  symlinkSync('/etc/passwd', join(path, 'train.py'));
  write(path, { 'score.py': 'print(0)\n' });
  unlinkSync(join(path, 'prepare.py'));
  expect(await look(copy)).toEqual({
    edits: [],
    wrong: [
      'train.py was made a symbolic link',
      'prepare.py was changed, and is not editable',
      'score.py was changed, and is not editable',
    ],
    left: [],
  });
});

test.each([
  ['a folder', (file: string) => mkdirSync(file), 'is no regular file any more'],
  ['a pipe', (file: string) => execFileSync('mkfifo', [file]), 'is no regular file any more'],
  ['bytes', (file: string) => writeFileSync(file, Buffer.from([0x89, 0, 0xff])), 'is not UTF-8 text'],
  [
    'a huge file',
    (file: string) => {
      writeFileSync(file, '');
      truncateSync(file, 50_000_000_000);
    },
    'has 50000000000 bytes, and caps.edit_bytes allows 10000',
  ],
])('an editable file that became %s is named, not read', async (_what, make, why) => {
  const { copy, path } = await work();
  unlinkSync(join(path, 'train.py'));
  make(join(path, 'train.py'));
  expect(await look(copy)).toEqual({ ...NOTHING, wrong: [`train.py ${why}`] });
});

test('a folder that became a link to another place gives nothing of that place', async () => {
  const { copy, path } = await work();
  const other = temporary('other-study');
  write(other, { 'model.py': 'SECRET = 1\n' });
  rmSync(join(path, 'src'), { recursive: true });
  symlinkSync(other, join(path, 'src'));
  const changes = await look(copy);
  expect(changes.edits).toEqual([]);
  expect(changes.wrong).toEqual(['src/model.py lies in what is no folder any more, but a file or a link']);
});

test('pipes and settings of git that are left in the copy are not opened, and run nothing', async () => {
  const { copy, path } = await work();
  const marker = join(temporary('marker'), 'ran');
  for (const name of ['.gitattributes', 'src/.gitignore']) execFileSync('mkfifo', [join(path, name)]);
  git(path, 'config', 'core.fsmonitor', `touch ${marker}`);
  git(path, 'config', 'filter.evil.clean', `touch ${marker}; cat`);
  write(path, { '.git/info/attributes': '* filter=evil\n', 'train.py': 'new\n' });
  mkdirSync(join(path, 'clone'));
  git(join(path, 'clone'), 'init', '--quiet');
  expect(await look(copy)).toEqual({
    edits: [{ path: 'train.py', content: 'new\n' }],
    wrong: [],
    left: ['.gitattributes', 'clone/', 'src/.gitignore'],
  });
  expect(existsSync(marker)).toBe(false);
});

test.each([
  ['a file', (file: string, root: string) => writeFileSync(file, `gitdir: ${root}/.git\n`)],
  ['a link', (file: string, root: string) => symlinkSync(join(root, '.git'), file)],
  ['gone', () => undefined],
])('a copy whose .git is %s is read all the same', async (_what, bend) => {
  const { copy, path, root, base } = await work();
  rmSync(join(path, '.git'), { recursive: true });
  bend(join(path, '.git'), root);
  write(path, { 'train.py': 'new\n' });
  expect((await look(copy)).edits).toEqual([{ path: 'train.py', content: 'new\n' }]);
  await removeCopies(path);
  expect(git(root, 'rev-parse', 'HEAD')).toBe(base);
});

test('its history is the study’s: no object of anything else, and nothing of the lab is reached through it', async () => {
  const lab = makeLab();
  const secret = git(lab.root, 'rev-parse', 'HEAD:train.py');
  write(lab.root, { 'train.py': 'BASE = 1\n', 'old.txt': 'gone later\n' });
  git(lab.root, 'add', '--all');
  git(lab.root, 'commit', '-qm', 'base');
  const base = git(lab.root, 'rev-parse', 'HEAD');
  const study = makeStudy(lab.root, base, TAG);
  await openLedger(lab.git, study);
  await lab.git.moveRef(baseRef(TAG), base, null);
  const candidate = async (number: number, text: string, incumbent: string) => {
    write(lab.root, { 'train.py': text });
    git(lab.root, 'add', '--all');
    const tree = git(lab.root, 'write-tree');
    return storeCandidate(lab.git, {
      tag: TAG,
      number,
      incumbent,
      tree,
      title: `change ${number}`,
      hypothesis: '',
      rejected: null,
      at: study.createdAt,
    });
  };
  const kept = await candidate(1, 'KEPT = 1\n', base);
  const discarded = await candidate(2, 'DISCARDED = 1\n', kept);
  git(lab.root, 'reset', '-q', '--hard', base);
  await lab.git.moveRef(branchRef(TAG), kept, null);
  const path = join(temporary(), 'copy');
  await makeWorkingCopy({ lab: lab.root, base }, { tag: TAG, commit: kept, path });

  expect(git(path, 'log', '--format=%s').split('\n')).toEqual(['change 1', 'base']);
  expect(git(path, 'for-each-ref', '--format=%(refname)')).toBe(branchRef(TAG));
  const list = ['cat-file', '--batch-all-objects', '--batch-check=%(objectname)'];
  const objects = git(path, ...list).split('\n');
  const reachable = git(path, 'rev-list', '--objects', 'HEAD').split('\n');
  expect(objects.toSorted()).toEqual(reachable.map((line) => line.slice(0, 40)).toSorted());
  const others = git(lab.root, ...list).split('\n');
  expect(others).toEqual(expect.arrayContaining([secret, discarded]));
  for (const id of [secret, discarded]) expect(objects).not.toContain(id);
  expect(existsSync(join(path, '.git/objects/info/alternates'))).toBe(false);
  expect(git(path, 'fsck', '--strict')).toBe('');
  expect(readFileSync(join(path, '.git/config'), 'utf8')).not.toContain(lab.root);
});

test('an agent that gets on the branch, commits and resets as program.md says does so in the copy alone', async () => {
  const { copy, path, root, base, git: repository } = await work();
  await repository.moveRef(branchRef(TAG), base, null);
  const before = git(root, 'for-each-ref');
  git(path, 'checkout', '--quiet', `autoresearch/${TAG}`);
  write(path, { 'train.py': 'first\n' });
  git(path, 'commit', '-qam', 'first');
  git(path, 'reset', '--quiet', '--hard', 'HEAD~1');
  write(path, { 'train.py': 'second\n' });
  git(path, 'commit', '-qam', 'second');
  git(path, 'branch', '-f', 'other');
  expect((await look(copy)).edits).toEqual([{ path: 'train.py', content: 'second\n' }]);
  expect(git(root, 'for-each-ref')).toBe(before);
  expect(git(root, 'status', '--porcelain')).toBe('');
});

test('a lab that is checked out sparsely, or with line ends of another system, is copied whole and as it is', async () => {
  const lab = makeLab({ ...FILES, 'docs/d.md': 'd\n', '.gitattributes': '* text eol=crlf\n' });
  git(lab.root, 'sparse-checkout', 'set', '--no-cone', '/*', '!docs');
  expect(existsSync(join(lab.root, 'docs'))).toBe(false);
  const { copy, path } = await work(lab);
  expect(readFileSync(join(path, 'docs/d.md'), 'utf8')).toBe('d\n');
  expect(git(path, 'status', '--porcelain')).toBe('');
  write(path, { 'train.py': 'new\n' });
  expect(await look(copy)).toEqual({ ...NOTHING, edits: [{ path: 'train.py', content: 'new\n' }] });
});

test('thousands of new files are counted, not read', async () => {
  const { copy, path } = await work();
  write(path, Object.fromEntries(Array.from({ length: 1_500 }, (_, index) => [`${index}.txt`, 'x'])));
  expect((await look(copy)).left).toHaveLength(1_000);
});

test('a copy that was removed is an answer', async () => {
  const { copy, path } = await work();
  rmSync(path, { recursive: true });
  expect(await look(copy)).toEqual({ ...NOTHING, wrong: ['the working copy was removed'] });
});

test('a copy is removed whatever was made of it: closed folders, links, and folders deeper than a path may be', async () => {
  const { path } = await work();
  const outside = temporary('outside');
  write(outside, { 'file.txt': 'x' });
  symlinkSync(outside, join(path, 'link'));
  write(path, { 'closed/file.txt': 'x' });
  chmodSync(join(path, 'closed'), 0);
  execFileSync('python3', [
    '-c',
    'import os, sys\nos.chdir(sys.argv[1])\nfor _ in range(60):\n os.mkdir("d" * 200)\n os.chdir("d" * 200)\n',
    path,
  ]);
  await removeCopies(path);
  expect(existsSync(path)).toBe(false);
  await removeCopies(path);
  expect(readdirSync(outside)).toEqual(['file.txt']);
  expect(lstatSync(outside).mode & 0o777).toBe(0o755);
});
