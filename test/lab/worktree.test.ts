import {
  chmodSync,
  existsSync,
  mkdirSync,
  rmSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { addWorktree, changes, listWorktrees, removeWorktree } from '../../src/lab/worktree';
import { FILES, git, makeLab, temporary, write } from './make-lab';

const LIMIT = 10_000;

async function work() {
  const lab = makeLab();
  const worktree = await addWorktree(lab.git, join(temporary(), 'nested', 'work'), lab.base);
  return { ...lab, worktree, path: worktree.path };
}

test('nothing changed is no edits', async () => {
  const { git: repository, worktree } = await work();
  expect(await changes(repository, worktree, LIMIT)).toEqual([]);
});

test('what was edited, added and deleted are edits; ignored files are not', async () => {
  const { git: repository, worktree, path, root } = await work();
  write(path, { 'train.py': 'new\n', 'notes/idea.md': 'x\n', 'junk.pyc': 'x' });
  unlinkSync(join(path, 'src/model.py'));
  const edits = [
    { path: 'notes/idea.md', content: 'x\n' },
    { path: 'src/model.py', delete: true },
    { path: 'train.py', content: 'new\n' },
  ];
  expect(await changes(repository, worktree, LIMIT)).toEqual(edits);
  git(path, 'add', '--all');
  expect(await changes(repository, worktree, LIMIT)).toEqual(edits);
  git(path, 'commit', '--quiet', '--message', 'mine');
  expect(await changes(repository, worktree, LIMIT)).toEqual(edits);
  expect(git(root, 'status', '--porcelain')).toBe('');
  expect(git(root, 'rev-parse', 'main')).toBe(worktree.commit);
});

test('changed and changed back is no edit', async () => {
  const { git: repository, worktree, path } = await work();
  write(path, { 'train.py': 'new\n' });
  git(path, 'commit', '-qam', 'mine');
  write(path, { 'train.py': FILES['train.py'] ?? '' });
  expect(await changes(repository, worktree, LIMIT)).toEqual([]);
});

test('what no edit can say is told', async () => {
  const { git: repository, worktree, path } = await work();
  unlinkSync(join(path, 'train.py'));
  symlinkSync('/etc/passwd', join(path, 'train.py'));
  chmodSync(join(path, 'score.py'), 0o755);
  writeFileSync(join(path, 'image.png'), Buffer.from([0x89, 0, 0xff]));
  writeFileSync(join(path, 'huge.txt'), '');
  truncateSync(join(path, 'huge.txt'), 50_000_000_000);
  rmSync(join(path, 'src'), { recursive: true });
  symlinkSync('/etc', join(path, 'src'));
  mkdirSync(join(path, 'clone'));
  git(join(path, 'clone'), 'init', '--quiet');
  git(join(path, 'clone'), 'commit', '--quiet', '--allow-empty', '--message', 'x');
  const told = Object.fromEntries(
    (await changes(repository, worktree, LIMIT)).map((edit) => [
      edit.path,
      'unsupported' in edit ? edit.unsupported : edit,
    ]),
  );
  expect(told).toEqual({
    'clone/': 'it is a git repository of its own',
    'huge.txt': 'it has 50000000000 bytes, caps.edit_bytes allows 10000',
    'image.png': 'it is not UTF-8 text',
    'score.py': 'it was made executable',
    src: 'it was made a symbolic link',
    'src/model.py': { path: 'src/model.py', delete: true },
    'train.py': 'it was made a symbolic link',
  });
});

test('a worktree whose .git was bent elsewhere is still read by the lab’s own', async () => {
  const { git: repository, worktree, path } = await work();
  const other = makeLab();
  git(other.root, 'config', 'core.fsmonitor', `touch ${other.root}/pwned`);
  unlinkSync(join(path, '.git'));
  write(path, { '.git': `gitdir: ${other.root}/.git\n`, 'train.py': 'new\n' });
  expect(await changes(repository, worktree, LIMIT)).toEqual([{ path: 'train.py', content: 'new\n' }]);
  expect(existsSync(join(other.root, 'pwned'))).toBe(false);
});

test('thousands of files are told, not read', async () => {
  const { git: repository, worktree, path } = await work();
  write(path, Object.fromEntries(Array.from({ length: 500 }, (_, index) => [`out/${index}.txt`, 'x'])));
  const edits = await changes(repository, worktree, LIMIT);
  expect(edits).toHaveLength(200);
  expect(edits.at(-1)).toMatchObject({ unsupported: 'it is one of 301 more changed files' });
});

test('one that was left over is replaced: whole, without its folder, or half made', async () => {
  const { git: repository, worktree, path, root, base } = await work();
  write(path, { 'train.py': 'left over\n' });
  await addWorktree(repository, path, base);
  expect(await changes(repository, worktree, LIMIT)).toEqual([]);

  rmSync(path, { recursive: true });
  await addWorktree(repository, path, base);
  expect(await changes(repository, worktree, LIMIT)).toEqual([]);

  git(root, 'worktree', 'lock', path);
  rmSync(join(path, '.git'));
  await addWorktree(repository, path, base);
  expect(await changes(repository, worktree, LIMIT)).toEqual([]);

  await removeWorktree(repository, path);
  await removeWorktree(repository, path);
  write(path, { 'no-worktree.txt': 'x' });
  await addWorktree(repository, path, base);
  expect(await changes(repository, worktree, LIMIT)).toEqual([]);
  expect(await listWorktrees(repository)).toHaveLength(2);
});

test('other worktrees of the user are left alone, also when their disk is away', async () => {
  const { git: repository, path, root, base } = await work();
  const away = join(temporary(), 'away');
  git(root, 'worktree', 'add', '--quiet', '-b', 'mine', away);
  rmSync(away, { recursive: true });
  await addWorktree(repository, path, base);
  await removeWorktree(repository, path);
  expect((await listWorktrees(repository)).map(({ branch }) => branch)).toContain('refs/heads/mine');
});
