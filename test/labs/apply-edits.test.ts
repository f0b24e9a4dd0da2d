import { symlinkSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { array, assert, asyncProperty, pre, string, stringMatching } from 'fast-check';
import { applyEdits, EditRejected } from '../../src/labs/apply-edits';
import type { Edit } from '../../src/ledger/proposals';
import type { Git } from '../../src/ledger/git';
import { listTree, readText } from '../../src/ledger/objects';
import { FILES, git, makeLab, TRAIN_PY } from './make-lab';

const RULES = {
  editable: ['train.py', 'src/model.py'],
  locked: ['lab.yaml', 'score.py'],
  caps: { edit_bytes: 1000 },
};

let lab: ReturnType<typeof makeLab>;
beforeAll(() => {
  lab = makeLab();
});

const apply = (edits: Edit[], repository: Git = lab.git, commit = lab.base): Promise<string> =>
  applyEdits(repository, commit, edits, RULES);

test('edits of one file apply in their order, and nothing else changes', async () => {
  const tree = await apply([
    { path: 'train.py', search: 'DEPTH = 2', replace: 'DEPTH = 3' },
    { path: 'train.py', search: 'DEPTH = 3', replace: 'DEPTH = 4' },
    { path: 'src/model.py', content: 'WIDTH = 16\n' },
  ]);
  expect(await readText(lab.git, tree, 'train.py')).toBe(TRAIN_PY.replace('DEPTH = 2', 'DEPTH = 4'));
  expect(await readText(lab.git, tree, 'src/model.py')).toBe('WIDTH = 16\n');
  expect(git(lab.root, 'diff', '--name-only', lab.base, tree).split('\n')).toEqual([
    'src/model.py',
    'train.py',
  ]);
});

test('a file is deleted, and made again', async () => {
  const without = await apply([{ path: 'src/model.py', delete: true }]);
  expect((await listTree(lab.git, without)).map(({ path }) => path)).not.toContain('src/model.py');
  const back = await apply([{ path: 'src/model.py', content: 'WIDTH = 8\n' }], lab.git, without);
  expect(back).toBe(git(lab.root, 'rev-parse', `${lab.base}^{tree}`));
});

test('the user’s index and working tree are not touched', async () => {
  await apply([{ path: 'train.py', content: 'x\n' }]);
  expect(git(lab.root, 'status', '--porcelain')).toBe('');
});

test.each<[string, Edit[], RegExp]>([
  ['text that is not there', [{ path: 'train.py', search: 'nowhere', replace: '' }], /not found/],
  ['text that is there twice', [{ path: 'train.py', search: 'LEARNING_RATE', replace: '' }], /found 2 times/],
  [
    'text that is there twice, overlapping',
    [
      { path: 'train.py', content: 'aaa' },
      { path: 'train.py', search: 'aa', replace: 'b' },
    ],
    /2 times/,
  ],
  ['a locked file', [{ path: 'score.py', content: '' }], /"score.py" is locked/],
  ['a file that is not named', [{ path: 'other.py', content: '' }], /not editable; editable: train.py/],
  ['a path that climbs', [{ path: '../train.py', content: '' }], /not a path inside the lab/],
  ['a path that climbs back in', [{ path: 'src/../train.py', content: '' }], /not a path inside the lab/],
  ['a path with a dot', [{ path: './train.py', content: '' }], /not a path inside the lab/],
  ['an absolute path', [{ path: '/etc/passwd', content: '' }], /not a path inside the lab/],
  ['the repository', [{ path: '.git/hooks/post-commit', content: '' }], /not a path inside the lab/],
  ['the repository in capitals', [{ path: 'src/.GiT/config', content: '' }], /not a path inside the lab/],
  ['a path for Windows', [{ path: '..\\train.py', content: '' }], /not a path inside the lab/],
  ['a path with a line end', [{ path: 'train.py\n', content: '' }], /not a path inside the lab/],
  ['another case', [{ path: 'Train.py', content: '' }], /not editable/],
  ['NUL', [{ path: 'train.py', content: 'a\0b' }], /not text/],
  ['half a character', [{ path: 'train.py', content: 'a\ud800b' }], /not text/],
  ['too much', [{ path: 'train.py', content: 'é'.repeat(501) }], /1002 bytes, caps.edit_bytes allows 1000/],
  ['the file as it is', [{ path: 'train.py', content: TRAIN_PY }], /change nothing/],
  [
    'there and back',
    [
      { path: 'train.py', search: 'DEPTH = 2', replace: 'x' },
      { path: 'train.py', search: 'x', replace: 'DEPTH = 2' },
    ],
    /change nothing/,
  ],
  ['nothing', [], /change nothing/],
  [
    'deleting twice',
    [
      { path: 'train.py', delete: true },
      { path: 'train.py', delete: true },
    ],
    /does not exist/,
  ],
])('%s is rejected in one line', async (_, edits, message) => {
  const error = await apply(edits).catch((caught: unknown) => caught);
  expect(error).toBeInstanceOf(EditRejected);
  expect(String(error)).toMatch(message);
  expect(String(error)).not.toContain('\n');
});

test('links, submodules, folders and binary files are not edited', async () => {
  const other = makeLab();
  unlinkSync(join(other.root, 'train.py'));
  symlinkSync('score.py', join(other.root, 'train.py'));
  unlinkSync(join(other.root, 'src/model.py'));
  git(other.root, 'rm', '-rq', '--cached', 'src');
  symlinkSync('..', join(other.root, 'link'));
  git(other.root, 'add', 'train.py', 'link');
  git(other.root, 'update-index', '--add', '--cacheinfo', `160000,${other.base},src`);
  git(other.root, 'commit', '-qm', 'links');
  const head = git(other.root, 'rev-parse', 'HEAD');
  await expect(apply([{ path: 'train.py', content: 'x' }], other.git, head)).rejects.toThrow(
    /is a symbolic link/,
  );
  await expect(apply([{ path: 'src/model.py', content: 'x' }], other.git, head)).rejects.toThrow(
    /leads through "src", which is a submodule/,
  );
  const through = { ...RULES, editable: ['link/score.py'] };
  await expect(
    applyEdits(other.git, head, [{ path: 'link/score.py', content: 'x' }], through),
  ).rejects.toThrow(/leads through "link", which is a symbolic link/);
});

test('a file that is not UTF-8 can be replaced whole, not searched', async () => {
  const other = makeLab({ ...FILES });
  const { writeFileSync } = await import('node:fs');
  writeFileSync(join(other.root, 'train.py'), Buffer.from([0x61, 0xff, 0x62]));
  git(other.root, 'commit', '-qam', 'binary');
  const head = git(other.root, 'rev-parse', 'HEAD');
  await expect(apply([{ path: 'train.py', search: 'a', replace: 'b' }], other.git, head)).rejects.toThrow(
    /not UTF-8/,
  );
  await expect(apply([{ path: 'train.py', content: 'print()\n' }], other.git, head)).resolves.toMatch(
    /^[0-9a-f]{40}$/,
  );
});

test('an executable file stays one', async () => {
  const other = makeLab();
  git(other.root, 'update-index', '--chmod=+x', 'train.py');
  git(other.root, 'commit', '-qm', 'executable');
  const tree = await apply(
    [{ path: 'train.py', content: 'x\n' }],
    other.git,
    git(other.root, 'rev-parse', 'HEAD'),
  );
  expect((await listTree(other.git, tree)).find(({ path }) => path === 'train.py')?.mode).toBe('100755');
});

test('whatever text is put in comes out byte for byte', async () => {
  const text = string({ unit: 'grapheme', minLength: 1, maxLength: 60 });
  await assert(
    asyncProperty(text, async (content) => {
      pre(!content.includes('\0') && content !== TRAIN_PY);
      const tree = await apply([{ path: 'train.py', content }]);
      expect(await readText(lab.git, tree, 'train.py')).toBe(content);
    }),
    { numRuns: 25 },
  );
});

test('searching and replacing is replacing the one place', async () => {
  const word = stringMatching(/^[ab.$&]{1,4}$/);
  await assert(
    asyncProperty(array(word, { maxLength: 6 }), word, word, async (words, search, replace) => {
      const content = `<${words.join('-')}>`;
      const places = Array.from(content, (_, at) => at).filter((at) => content.startsWith(search, at)).length;
      const tree = await apply([
        { path: 'train.py', content },
        { path: 'train.py', search, replace },
      ]).catch((error: unknown) => {
        if (error instanceof EditRejected) return null;
        throw error;
      });
      const expected = places === 1 ? content.split(search).join(replace) : null;
      expect(tree === null ? null : await readText(lab.git, tree, 'train.py')).toBe(expected);
    }),
    { numRuns: 40 },
  );
});

const edited = async (content: string, search: string, replace: string) => {
  const tree = await apply([
    { path: 'train.py', content },
    { path: 'train.py', search, replace },
  ]);
  return readText(lab.git, tree, 'train.py');
};

const ends = (text: string): string => text.replaceAll(/\r?\n/g, '\r\n');

describe('a file whose lines end with CRLF', () => {
  const CRLF = 'RATE = 0.5\r\nMOMENTUM = 0.0\r\nprint("é")\r\n';

  test.each([
    ['two lines', 'RATE = 0.5\nMOMENTUM = 0.0', 'RATE = 0.1\nMOMENTUM = 0.1'],
    ['two lines that end with CRLF', 'RATE = 0.5\r\nMOMENTUM = 0.0', 'RATE = 0.1\r\nMOMENTUM = 0.1'],
    ['one line by two', 'RATE = 0.5\n', 'RATE = 0.1\nRATE = 0.2\n'],
  ])('is searched as models write it, and its line ends stay: %s', async (_what, search, replace) => {
    expect(await edited(CRLF, search, replace)).toBe(CRLF.replace(ends(search), ends(replace)));
  });

  test('a file whose lines end in both ways is searched as it is first', async () => {
    const mixed = 'A = 1\nB = 2\nC = 3\r\nD = 4\r\n';
    expect(await edited(mixed, 'A = 1\nB = 2', 'A = 3\nB = 4')).toBe('A = 3\nB = 4\nC = 3\r\nD = 4\r\n');
    expect(await edited(mixed, 'C = 3\nD = 4', 'C = 5\nD = 6')).toBe('A = 1\nB = 2\nC = 5\r\nD = 6\r\n');
  });

  test('what is found twice is refused still', async () => {
    await expect(edited('A\r\nB\r\nA\r\nB\r\n', 'A\nB', 'C')).rejects.toThrow('found 2 times');
  });
});
