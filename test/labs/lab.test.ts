import { existsSync, mkdirSync, readFileSync, symlinkSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { LabConfigError } from '../../src/labs/lab-yaml';
import { Git } from '../../src/ledger/git';
import { initLab } from '../../src/labs/init';
import { LabError } from '../../src/ledger/git';
import { openLab, openRepository } from '../../src/labs/lab';
import { FILES, git, LAB_YAML, makeLab, temporary, write } from './make-lab';

test('a lab is opened by its real path, with lab.yaml of its HEAD', async () => {
  const { root, base } = makeLab();
  const link = join(temporary(), 'link');
  symlinkSync(root, link);
  const lab = await openLab(link);
  expect(lab).toMatchObject({ root, head: base, config: { name: 'tiny' } });
  expect(lab.id).toMatch(/^[0-9a-f]{8}$/);
});

test('program.md may be edited without a commit: it is read from the working tree', async () => {
  const { root } = makeLab();
  write(root, { 'program.md': 'try something else' });
  expect((await openLab(root)).root).toBe(root);
});

test('files that no rule names may lie about untracked', async () => {
  const { root } = makeLab();
  write(root, { 'notes.txt': 'x', 'cache.pyc': 'x' });
  await expect(openLab(root)).resolves.toBeDefined();
});

test('opening does not write the user’s index', async () => {
  const { root } = makeLab();
  write(root, { 'train.py': FILES['train.py'] ?? '' });
  const before = readFileSync(join(root, '.git/index'));
  await openLab(root);
  expect(readFileSync(join(root, '.git/index')).equals(before)).toBe(true);
});

test.each<[string, (root: string) => string | void, RegExp]>([
  ['no folder', (root) => join(root, 'nowhere'), /no folder .*autoresearch init/],
  ['a file', (root) => join(root, 'train.py'), /no folder/],
  ['no repository', () => temporary(), /not a git repository: .*autoresearch init/],
  ['a folder in a repository', (root) => join(root, 'src'), /inside the git repository .*use /],
  [
    'a bare repository',
    (root) => (git(root, 'clone', '-q', '--bare', root, `${root}.git`), `${root}.git`),
    /bare git repository/,
  ],
  ['a changed file', (root) => write(root, { 'train.py': 'x' }), /not committed \(train.py\)/],
  [
    'a staged file',
    (root) => (write(root, { 'new.txt': 'x' }), void git(root, 'add', 'new.txt')),
    /not committed \(new.txt\)/,
  ],
  ['a deleted file', (root) => unlinkSync(join(root, 'score.py')), /not committed \(score.py\)/],
  [
    'a file hidden from git',
    (root) => (git(root, 'update-index', '--skip-worktree', 'score.py'), unlinkSync(join(root, 'score.py'))),
    /not committed \(score.py\)/,
  ],
  [
    'an editable file that is not committed',
    (root) => void git(root, 'rm', '-q', '--cached', 'train.py'),
    /not committed|no such file/,
  ],
])('%s is refused with what to do', async (_, spoil, message) => {
  const { root } = makeLab();
  const named = spoil(root);
  const error = await openLab(named ?? root).catch((caught: unknown) => caught);
  expect(error).toBeInstanceOf(LabError);
  expect(String(error)).toMatch(message);
});

test('a repository without a commit is refused', async () => {
  const root = temporary();
  git(root, 'init', '--quiet');
  await expect(openLab(root)).rejects.toThrow(/no commit yet/);
});

test.each<[string, Record<string, string>, RegExp]>([
  ['no lab.yaml', { 'train.py': '' }, /no lab.yaml/],
  ['YAML that is none', { 'lab.yaml': 'a: [' }, /not YAML/],
  ['no metric', { 'lab.yaml': LAB_YAML.replace(/metric.*/, '') }, /metric:/],
  ['an unknown key', { 'lab.yaml': `${LAB_YAML}\nextra: 1\n` }, /extra/],
  [
    'a file that is both',
    { 'lab.yaml': LAB_YAML.replace('locked: [', 'locked: [train.py, ') },
    /both editable and locked/,
  ],
  [
    'a file in a file',
    { 'lab.yaml': LAB_YAML.replace('locked: [', 'locked: [train.py/x, ') },
    /inside "train.py"/,
  ],
  [
    'a path that climbs',
    { 'lab.yaml': LAB_YAML.replace('train.py, ', '../train.py, ') },
    /editable.0: expected a path inside/,
  ],
])('lab.yaml with %s is refused with path and reason', async (_, files, message) => {
  const { root } = makeLab({ ...(files['lab.yaml'] === undefined ? {} : FILES), ...files });
  await expect(openLab(root)).rejects.toThrow(LabConfigError);
  await expect(openLab(root)).rejects.toThrow(message);
});

test('a file that lab.yaml names has to be committed, as a file', async () => {
  const { 'score.py': _, ...without } = FILES;
  await expect(openLab(makeLab(without).root)).rejects.toThrow(
    /names "score.py", but commit .* has no such file/,
  );
  const { root } = makeLab();
  unlinkSync(join(root, 'score.py'));
  symlinkSync('prepare.py', join(root, 'score.py'));
  git(root, 'commit', '-qam', 'link');
  await expect(openLab(root)).rejects.toThrow(/"score.py", which is not a regular file/);
});

test('a git that was started inside another repository’s hook still sees the lab', async () => {
  const [lab, other] = [makeLab(), makeLab()];
  process.env['GIT_DIR'] = join(other.root, '.git');
  try {
    expect((await openRepository(lab.root)).directory).toBe(lab.root);
  } finally {
    delete process.env['GIT_DIR'];
  }
});

test('a folder that is gone is said to be gone', async () => {
  await expect(new Git('/nowhere/at/all').text(['status'])).rejects.toThrow(
    /the folder \/nowhere\/at\/all is gone/,
  );
});

/** What a default trainer's folder may hold after some use. */
function trainer(): string {
  const folder = temporary('trainer');
  write(folder, {
    ...FILES,
    '__pycache__/train.pyc': 'x',
    '.venv/bin/python': 'x',
    '.ruff_cache/x': 'x',
    'src/__pycache__/x.pyc': 'x',
  });
  return folder;
}

describe('init', () => {
  test('makes a clean lab of one commit on main', async () => {
    const target = join(temporary(), 'labs', 'first');
    const commit = await initLab(target, { trainer: trainer() });
    expect(git(target, 'rev-parse', 'main')).toBe(commit);
    expect(git(target, 'rev-list', '--count', 'HEAD')).toBe('1');
    expect(git(target, 'ls-files').split('\n').toSorted()).toEqual(Object.keys(FILES).toSorted());
    expect((await openLab(target)).head).toBe(commit);
  });

  test('may set the data’s source, and keeps comments', async () => {
    const source = trainer();
    write(source, { 'lab.yaml': LAB_YAML.replace('data:', '# what to learn from\ndata:') });
    const target = join(temporary(), 'lab');
    await initLab(target, { trainer: source, source: '/texts' });
    expect((await openLab(target)).config.data.source).toBe('/texts');
    expect(readFileSync(join(target, 'lab.yaml'), 'utf8')).toContain('# what to learn from');
  });

  test('takes an empty folder, refuses one with anything in it, leaves nothing behind when it fails', async () => {
    const parent = temporary();
    mkdirSync(join(parent, 'empty'));
    await initLab(join(parent, 'empty'), { trainer: trainer() });
    await expect(initLab(join(parent, 'empty'), { trainer: trainer() })).rejects.toThrow(/not empty/);
    await expect(initLab(join(parent, 'empty', 'train.py'), { trainer: trainer() })).rejects.toThrow(
      /not a folder/,
    );
    const broken = trainer();
    write(broken, { 'lab.yaml': 'version: 2\n' });
    await expect(initLab(join(parent, 'broken'), { trainer: broken })).rejects.toThrow(LabConfigError);
    expect(existsSync(join(parent, 'broken'))).toBe(false);
  });
});

test('what only the first experiment would run into is refused before there is a study', async () => {
  const { root } = makeLab();
  git(root, 'branch', 'autoresearch');
  await expect(openLab(root)).rejects.toThrow(/branch "autoresearch".*git branch -m autoresearch/);
  git(root, 'branch', '-D', 'autoresearch');
  const head = git(root, 'rev-parse', 'HEAD').trim();
  git(root, 'update-index', '--add', '--cacheinfo', `160000,${head},third_party/dep`);
  mkdirSync(join(root, 'third_party', 'dep'), { recursive: true });
  git(root, 'commit', '-qm', 'submodule');
  await expect(openLab(root)).rejects.toThrow(/"third_party\/dep" is a submodule/);
});
