/** What a run on a GPU compiles with. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { compilerFor } from '../../src/host/check-compiler';
import { fakePrograms } from '../setup/fake-programs';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'autoresearch-include-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

/** An interpreter, as far as it is asked where its headers are. */
const python = (): string => join(fakePrograms({ python: `echo ${folder}` }), 'python');

test('a compiler and the headers', async () => {
  writeFileSync(join(folder, 'Python.h'), '');
  const path = fakePrograms({ clang: '' });
  expect(await compilerFor(python(), path)).toMatchObject({
    state: 'ok',
    found: `clang, ${join(folder, 'Python.h')}`,
  });
});

test.each([
  ['nothing', {}, /^neither gcc nor clang is there, and \/.*\/Python\.h is not:/u],
  ['no headers', { gcc: '' }, /^\/.*\/Python\.h is not:/u],
])('%s: what is missing, and how to get it', async (_what, programs, found) => {
  expect(await compilerFor(python(), fakePrograms(programs))).toMatchObject({
    state: 'warning',
    found: expect.stringMatching(found),
    todo: expect.stringContaining('python3-dev'),
  });
});
