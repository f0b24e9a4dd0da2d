import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { difference, exportTree, hashTree } from '../../src/labs/export';
import { LabError } from '../../src/ledger/git';
import { FILES, git, makeLab, temporary, write } from './make-lab';

const commit = (root: string): string => {
  git(root, 'add', '--all');
  git(root, 'commit', '--quiet', '--message', 'x');
  return git(root, 'rev-parse', 'HEAD');
};

test('the candidate’s files, with the locked ones from the base', async () => {
  const { root, base } = makeLab();
  write(root, { 'train.py': 'new\n', 'score.py': 'print("0.0")\n', 'extra/file.txt': 'e\n' });
  const candidate = commit(root);
  const target = join(temporary(), 'tree');
  await exportTree({ lab: root, base }, candidate, target);
  const files = readdirSync(target, { recursive: true }).map(String);
  expect(files.toSorted()).toEqual([...Object.keys(FILES), 'src', 'extra', 'extra/file.txt'].toSorted());
  expect(readFileSync(join(target, 'train.py'), 'utf8')).toBe('new\n');
  expect(readFileSync(join(target, 'score.py'), 'utf8')).toBe(FILES['score.py']);
});

test('locked files come back where a candidate put a folder, or took them away', async () => {
  const { root, base } = makeLab();
  git(root, 'rm', '-q', 'score.py', 'prepare.py');
  write(root, { 'score.py/__init__.py': 'x\n' });
  const candidate = commit(root);
  const target = join(temporary(), 'tree');
  await exportTree({ lab: root, base }, candidate, target);
  expect(readFileSync(join(target, 'score.py'), 'utf8')).toBe(FILES['score.py']);
  expect(existsSync(join(target, 'prepare.py'))).toBe(true);
});

test('bytes are those in git, whatever attributes, filters and the working tree say', async () => {
  const { root } = makeLab();
  const bytes = Buffer.from(Array.from({ length: 1 << 16 }, (_, index) => index % 256));
  writeFileSync(join(root, 'train.py'), bytes);
  write(root, { 'src/model.py': 'a\r\nb\n$Id$\n', 'run.sh': '#!/bin/sh\n' });
  execFileSync('chmod', ['+x', join(root, 'run.sh')]);
  const candidate = commit(root);
  write(root, { '.gitattributes': '* text eol=crlf ident filter=evil\n', 'train.py': 'dirty' });
  git(root, 'config', 'filter.evil.smudge', 'echo filtered');
  const target = join(temporary(), 'tree');
  await exportTree({ lab: root, base: candidate }, candidate, target);
  expect(readFileSync(join(target, 'train.py')).equals(bytes)).toBe(true);
  expect(readFileSync(join(target, 'src/model.py'), 'utf8')).toBe('a\r\nb\n$Id$\n');
  expect(statSync(join(target, 'run.sh')).mode & 0o111).not.toBe(0);
});

test('an export that is there is left alone; half-made ones are not taken for it', async () => {
  const { root, base } = makeLab();
  const folder = temporary();
  mkdirSync(join(folder, 'tree.partial-aBc123'));
  await exportTree({ lab: root, base }, base, join(folder, 'tree'));
  const made = statSync(join(folder, 'tree')).mtimeMs;
  await exportTree({ lab: root, base }, base, join(folder, 'tree'));
  expect(statSync(join(folder, 'tree')).mtimeMs).toBe(made);
});

test('two exports at once to one place give one whole tree', async () => {
  const { root, base } = makeLab();
  const folder = temporary();
  await Promise.all([1, 2, 3].map(() => exportTree({ lab: root, base }, base, join(folder, 'tree'))));
  expect(readdirSync(folder)).toEqual(['tree']);
  expect(existsSync(join(folder, 'tree', 'lab.yaml'))).toBe(true);
});

test.each([
  ['/etc/passwd', 'train.py'],
  ['..', 'link'],
  ['../../x', 'src/link'],
  ['src/../../x', 'link'],
  ['src/..', 'link'],
  ['..x/../..', 'src/link'],
])('a link to %s is refused', async (target, path) => {
  const { root, base } = makeLab();
  git(root, 'rm', '-q', '--cached', '--ignore-unmatch', path);
  execFileSync('rm', ['-f', join(root, path)]);
  symlinkSync(target, join(root, path));
  const candidate = commit(root);
  const folder = temporary();
  await expect(exportTree({ lab: root, base }, candidate, join(folder, 'tree'))).rejects.toThrow(LabError);
  expect(readdirSync(folder)).toEqual([]);
});

test('a link inside the lab is kept', async () => {
  const { root, base } = makeLab();
  symlinkSync('../train.py', join(root, 'src/link.py'));
  const candidate = commit(root);
  const target = join(temporary(), 'tree');
  await exportTree({ lab: root, base }, candidate, target);
  expect(readlinkSync(join(target, 'src/link.py'))).toBe('../train.py');
  expect(readFileSync(join(target, 'src/link.py'), 'utf8')).toBe(FILES['train.py']);
});

test('a submodule is refused, by its name', async () => {
  const { root, base } = makeLab();
  git(root, 'update-index', '--add', '--cacheinfo', `160000,${base},module`);
  git(root, 'commit', '-qm', 'submodule');
  const candidate = git(root, 'rev-parse', 'HEAD');
  await expect(exportTree({ lab: root, base }, candidate, join(temporary(), 'tree'))).rejects.toThrow(
    /"module" is a submodule/,
  );
});

test('an export that was changed since is made anew, and what it holds is told by git’s ids', async () => {
  const { root, base } = makeLab();
  const target = join(temporary(), 'tree');
  const blobs = await exportTree({ lab: root, base }, base, target);
  expect(blobs['score.py']).toBe(git(root, 'rev-parse', `${base}:score.py`));
  expect(Object.keys(blobs).toSorted()).toEqual(Object.keys(FILES).toSorted());
  for (const [path, text] of [
    ['score.py', 'print("0.0")\n'],
    ['torch.py', 'loss = 0\n'],
    ['__pycache__/score.pyc', 'x'],
  ] as const) {
    write(target, { [path]: text });
    expect(difference(await hashTree(target), blobs)).toMatch(path);
    expect(await exportTree({ lab: root, base }, base, target)).toEqual(blobs);
    expect(difference(await hashTree(target), blobs)).toBeNull();
  }
});
