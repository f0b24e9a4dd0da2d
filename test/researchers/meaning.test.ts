import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { meaningsOf, type Meaning } from '../../src/researchers/meaning';
import { git, makeLab, write } from '../lab/make-lab';

const never = new AbortController().signal;

/** Commits these versions of one file one after another, and asks for what they mean. */
async function meanings(versions: readonly string[], path = 'train.py', file = ''): Promise<Meaning[]> {
  const lab = makeLab();
  const commits = versions.map((text) => {
    write(lab.root, { [path]: text });
    git(lab.root, 'add', '--all');
    git(lab.root, 'commit', '-q', '--allow-empty', '-m', 'version');
    return git(lab.root, 'rev-parse', 'HEAD');
  });
  const cache = file || join(await mkdtemp(join(tmpdir(), 'meaning-')), 'state', 'meanings.jsonl');
  return meaningsOf({ git: lab.git, editable: [path], python: 'python3', file: cache }, commits, never);
}

const STEP = `
import math
import torch

class Model:
    width = 1e-2

    def step(self, x, scale=2**4):
        """One step."""
        total = sum(each * scale for each in x)
        return torch.add(total, x, alpha=0.5, out=None)
`;

test.each([
  ['comments, layout, docstrings', STEP.replace('"""One step."""', '# one step').replaceAll('    ', '  ')],
  [
    'names of locals and of what a comprehension counts',
    STEP.replaceAll('total', 's').replaceAll('each', 'i'),
  ],
  ['names of parameters that no call names', STEP.replaceAll('scale', 'by')],
  ['spelling of literals, and arithmetic on them', STEP.replace('1e-2', '0.010').replace('2**4', '4 * 4')],
  ['the order of keywords', STEP.replace('alpha=0.5, out=None', 'out=None, alpha=0.5')],
  ['the order of imports', STEP.replace('import math\nimport torch', 'import torch, math')],
  [
    'annotations and pass',
    STEP.replace('(self, x, ', '(self, x: list, ').replace(
      '        total',
      '        pass\n        total: int',
    ),
  ],
])('the same in other words: %s', async (_what, text) => {
  expect(text).not.toBe(STEP);
  const [before, after] = await meanings([STEP, text]);
  expect(after).toEqual(before);
});

test.each([
  ['a value', STEP.replace('1e-2', '1e-3')],
  ['an int that was a float', STEP.replace('0.5', '1').replace('1e-2', '1')],
  ['a default', STEP.replace('2**4', '2**5')],
  ['an attribute', STEP.replace('width', 'height')],
  ['which local is used', STEP.replace('torch.add(total, x', 'torch.add(x, total')],
  ['a keyword', STEP.replace('alpha', 'beta')],
  ['the order of statements', STEP.replace('    width = 1e-2\n\n', '').concat('    width = 1e-2\n')],
  ['a global in the place of a local', STEP.replace('total = sum', 'global total\n        total = sum')],
])('not the same: %s', async (_what, text) => {
  expect(text).not.toBe(STEP);
  const [before, after] = await meanings([STEP, text]);
  expect(after?.hash).toEqual(expect.any(String));
  expect(after).not.toEqual(before);
});

test.each([
  ['parameters that calls name', 'def f(a): return a\nf(a=1)', 'def f(b): return b\nf(a=1)'],
  ['names that are read at run time', 'def f(a): return locals()', 'def f(b): return locals()'],
  [
    'names of a class body',
    'class A:\n  x = 1\n  def f(self): return x',
    'class A:\n  y = 1\n  def f(self): return x',
  ],
  ['keywords that do something', 'f(a=g(), b=h())', 'f(b=h(), a=g())'],
  ['imports that hide each other', 'from a import x\nfrom b import x', 'from b import x\nfrom a import x'],
  ['fields of a class', 'class A:\n  x: int = 1', 'class A:\n  x = 1'],
  [
    'a name that a nested function takes from outside',
    'x = 1\ndef f():\n  x = 2\n  return lambda: x',
    'x = 1\ndef f():\n  y = 2\n  return lambda: x',
  ],
])('not the same: %s', async (_what, one, other) => {
  const [first, second] = await meanings([one, other]);
  expect(second).not.toEqual(first);
});

test('what does not parse is told with its line, and so is what Python finds only when it compiles', async () => {
  expect(await meanings(['x = 1\ndef f(:\n', 'return 1\n', 'x = 1\n'])).toEqual([
    { hash: null, error: 'train.py, line 2: invalid syntax: def f(:' },
    { hash: null, error: "train.py, line 1: 'return' outside function" },
    { hash: expect.stringMatching(/^1-[0-9a-f]{64}$/) },
  ]);
});

test('a text that no parser can hold still has a hash', async () => {
  const [deep] = await meanings([`x = ${'-'.repeat(20_000)}1\n`]);
  expect(deep?.hash).toEqual(expect.any(String));
});

test('of other files the layout at the ends of lines makes no difference', async () => {
  const [first, same, other] = await meanings(
    ['a: 1\nb: 2\n', 'a: 1  \r\nb: 2\n\n', 'a: 1\n  b: 2\n'],
    'notes.yaml',
  );
  expect(same).toEqual(first);
  expect(other).not.toEqual(first);
});

test('each file is read once: the cache has it, whole or cut off', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'meaning-'));
  const file = join(folder, 'meanings.jsonl');
  const asked = await meanings(['x = 1\n', 'x = 2\n'], 'train.py', file);
  const kept = await readFile(file, 'utf8');
  // An answer that only the cache can give.
  await writeFile(file, kept.replace(/"hash":"[0-9a-f]{64}"/, '"hash":"from the cache"'));
  expect(await meanings(['x = 1\n', 'x = 2\n'], 'train.py', file)).not.toEqual(asked);
  await writeFile(file, kept.slice(0, -20));
  expect(await meanings(['x = 1\n', 'x = 2\n'], 'train.py', file)).toEqual(asked);
  await rm(folder, { recursive: true });
});

test('a byte order mark, which Python takes in a file, changes nothing', async () => {
  const [plain, marked] = await meanings([STEP, `\uFEFF${STEP}`]);
  expect(marked).toEqual(plain);
  expect(marked).toHaveProperty('hash');
});
