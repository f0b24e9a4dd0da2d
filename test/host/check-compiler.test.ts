/** The compiler and headers of runs on a GPU. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { compilerFor } from '../../src/host/check-compiler';
import { fakePrograms } from './fake-programs';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'autoresearch-include-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

/** A stand-in interpreter that prints where its headers are. */
const python = (): string => join(fakePrograms({ python: `echo ${folder}` }), 'python');

test('finds a compiler and the headers', async () => {
  writeFileSync(join(folder, 'Python.h'), '');
  const path = fakePrograms({ clang: '' });
  expect(await compilerFor(python(), path)).toMatchObject({
    state: 'ok',
    found: `clang, ${join(folder, 'Python.h')}`,
  });
});

test.each([
  ['nothing', {}, /^neither gcc nor clang is installed, and \/.*\/Python\.h is missing:/u],
  ['no headers', { gcc: '' }, /^\/.*\/Python\.h is missing:/u],
])('%s: what is missing, and how to get it', async (_what, programs, found) => {
  expect(await compilerFor(python(), fakePrograms(programs))).toMatchObject({
    state: 'warning',
    found: expect.stringMatching(found),
    todo: expect.stringContaining('python3-dev'),
  });
});
