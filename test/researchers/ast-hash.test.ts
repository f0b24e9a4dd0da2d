import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { astHashes, type AstHash } from '../../src/researchers/ast-hash';
import { git, makeLab, write } from '../labs/make-lab';

const never = new AbortController().signal;

/** Commits these versions of one file one after another. @returns their AST hashes */
async function hashes(versions: readonly string[], path = 'train.py', file = ''): Promise<AstHash[]> {
  const lab = makeLab();
  const commits = versions.map((text) => {
    write(lab.root, { [path]: text });
    git(lab.root, 'add', '--all');
    git(lab.root, 'commit', '-q', '--allow-empty', '-m', 'version');
    return git(lab.root, 'rev-parse', 'HEAD');
  });
  const cache = file || join(await mkdtemp(join(tmpdir(), 'ast-hash-')), 'state', 'ast-hashes.jsonl');
  return astHashes({ git: lab.git, editable: [path], python: 'python3', file: cache }, commits, never);
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
  ['pass', STEP.replace('        total', '        pass\n        total')],
  [
    'names of nested functions',
    STEP.replace('return torch', 'def add(t): return torch').concat('        return add(total)\n'),
    STEP.replace('return torch', 'def plus(s): return torch').concat('        return plus(total)\n'),
  ],
])('equal hashes: %s', async (_what, text, other = STEP) => {
  expect(text).not.toBe(other);
  const [before, after] = await hashes([other, text]);
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
])('different hashes: %s', async (_what, text) => {
  expect(text).not.toBe(STEP);
  const [before, after] = await hashes([STEP, text]);
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
  [
    'a name that is global in one function and local in another',
    'def f():\n  y = a\n  def g():\n    a = 1\n    return a\n  return g',
    'def f():\n  y = b\n  def g():\n    b = 1\n    return b\n  return g',
  ],
  ['a module that a function imports', 'def f():\n  import a\n  a.x()', 'def f():\n  import b\n  b.x()'],
  [
    'a class in a function, or a local instead',
    'def f(A):\n  class A: pass\n  return A',
    'def f(z):\n  class A: pass\n  return z',
  ],
  ['two locals that change places', 'def f(a, b): return a - b', 'def f(a, b): return b - a'],
  [
    'a name that a nested function takes from outside',
    'x = 1\ndef f():\n  x = 2\n  return lambda: x',
    'x = 1\ndef f():\n  y = 2\n  return lambda: x',
  ],
])('different hashes: %s', async (_what, one, other) => {
  const [first, second] = await hashes([one, other]);
  expect(second).not.toEqual(first);
});

test('powers beyond any use are not computed', async () => {
  const [first, other] = await hashes(['x = 9**9**9**9\n', 'x = (10**400)**400 << 10**9\n']);
  expect(first?.hash).toEqual(expect.any(String));
  expect(other?.hash).toEqual(expect.any(String));
});

test('a syntax error names its line, also one that only the compiler finds', async () => {
  expect(await hashes(['x = 1\ndef f(:\n', 'return 1\n', 'x = 1\n'])).toEqual([
    { hash: null, error: 'train.py, line 2: invalid syntax: def f(:' },
    { hash: null, error: "train.py, line 1: 'return' outside function" },
    { hash: expect.stringMatching(/^2-[0-9a-f]{64}$/) },
  ]);
});

test('code that is nested too deeply to parse still has a hash', async () => {
  const [deep] = await hashes([`x = ${'-'.repeat(20_000)}1\n`]);
  expect(deep?.hash).toEqual(expect.any(String));
});

test('in other files blank space at the ends of lines makes no difference', async () => {
  const [first, same, other] = await hashes(
    ['a: 1\nb: 2\n', 'a: 1  \r\nb: 2\n\n', 'a: 1\n  b: 2\n'],
    'notes.yaml',
  );
  expect(same).toEqual(first);
  expect(other).not.toEqual(first);
});

test('each file is hashed once; a damaged cache line is hashed again', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'ast-hash-'));
  const file = join(folder, 'ast-hashes.jsonl');
  const asked = await hashes(['x = 1\n', 'x = 2\n'], 'train.py', file);
  const kept = await readFile(file, 'utf8');
  // An answer that only the cache can give.
  await writeFile(file, kept.replace(/"hash":"[0-9a-f]{64}"/, '"hash":"from the cache"'));
  expect(await hashes(['x = 1\n', 'x = 2\n'], 'train.py', file)).not.toEqual(asked);
  await writeFile(file, kept.slice(0, -20));
  expect(await hashes(['x = 1\n', 'x = 2\n'], 'train.py', file)).toEqual(asked);
  await rm(folder, { recursive: true });
});

test('a byte order mark makes no difference', async () => {
  const [plain, marked] = await hashes([STEP, `\uFEFF${STEP}`]);
  expect(marked).toEqual(plain);
  expect(marked).toHaveProperty('hash');
});
