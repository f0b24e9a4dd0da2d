import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { systemPython } from '../../src/host/system-python';
import { ensureTrainerPython, trainerPython } from '../../src/host/trainer-python';
import { fakePrograms, realPrograms } from './fake-programs';

const before = { ...process.env };
let cache = '';

beforeEach(() => {
  cache = mkdtempSync(join(tmpdir(), 'autoresearch-cache-'));
  process.env['XDG_CACHE_HOME'] = cache;
  delete process.env['AUTORESEARCH_PYTHON'];
});
afterEach(() => {
  process.env = { ...before };
  rmSync(cache, { recursive: true, force: true });
});

/** A stand-in uv: logs its calls and makes an "environment" whose interpreter is the host's. */
const FAKE_UV = `
case "$1" in
  --version) echo 'uv 0.13.8 (fake)'; exit 0 ;;
esac
echo "$*" >> "$FAKE_UV_CALLS"
case "$*" in
  *' venv '*) for last; do :; done; mkdir -p "$last/bin"; ln -s /usr/bin/python3 "$last/bin/python" ;;
  *' pip sync '*) [ -z "$FAKE_UV_SAYS" ] || { echo "$FAKE_UV_SAYS" >&2; exit 2; } ;;
esac`;

function useFakeUv(): { calls: () => string[] } {
  const file = join(cache, 'calls');
  writeFileSync(file, '');
  process.env['FAKE_UV_CALLS'] = file;
  process.env['PATH'] = `${fakePrograms({ uv: FAKE_UV })}:${before['PATH']}`;
  return {
    calls: () =>
      readFileSync(file, 'utf8')
        .trim()
        .split('\n')
        .filter((line) => line !== ''),
  };
}

test('makes the environment once, with hashes, and finds it afterwards', async () => {
  const uv = useFakeUv();
  expect(trainerPython()).toBeNull();
  const said: string[] = [];
  const python = await ensureTrainerPython((line) => said.push(line));
  expect(python).toMatch(/\/autoresearch\/python\/[0-9a-f]{12}\/bin\/python$/u);
  expect(uv.calls()).toHaveLength(2);
  expect(uv.calls()[1]).toContain('--require-hashes');
  expect(said.at(-1)).toMatch(/done in \d+ s$/u);
  expect(trainerPython()).toBe(python);
  expect(await ensureTrainerPython(() => undefined)).toBe(python);
  expect(uv.calls()).toHaveLength(2);
});

test('two concurrent calls make it once', async () => {
  const uv = useFakeUv();
  const [one, other] = await Promise.all([
    ensureTrainerPython(() => undefined),
    ensureTrainerPython(() => undefined),
  ]);
  expect(one).toBe(other);
  expect(uv.calls()).toHaveLength(2);
});

test('makes an incomplete environment again', async () => {
  useFakeUv();
  const python = await ensureTrainerPython(() => undefined);
  const folder = dirname(dirname(python));
  rmSync(join(folder, '.complete'));
  mkdirSync(join(folder, 'leftover'));
  expect(trainerPython()).toBeNull();
  await ensureTrainerPython(() => undefined);
  expect(existsSync(join(folder, 'leftover'))).toBe(false);
});

test.each([
  ['error sending request for url: dns error', /network/u],
  ['No space left on device (os error 28)', /XDG_CACHE_HOME/u],
  ['hash mismatch', /AUTORESEARCH_PYTHON/u],
])('when uv says "%s", says what to do and leaves nothing that looks whole', async (says, todo) => {
  useFakeUv();
  process.env['FAKE_UV_SAYS'] = says;
  await expect(ensureTrainerPython(() => undefined)).rejects.toMatchObject({
    name: 'MissingPrerequisite',
    message: expect.stringContaining(says),
    todo: expect.stringMatching(todo),
  });
  expect(trainerPython()).toBeNull();
});

test('without a suitable Python reports what was found and what to install', async () => {
  const old = fakePrograms({ python3: `printf '/usr/bin/python3\\n3.9.2\\n'` });
  const real = realPrograms(['sh', 'env']);
  process.env['PATH'] = `${old}:${real}`;
  await expect(systemPython()).rejects.toMatchObject({
    name: 'MissingPrerequisite',
    message: expect.stringContaining('python3 is 3.9.2'),
    todo: expect.stringContaining('apt-get install python3'),
  });
  process.env['PATH'] = real;
  await expect(systemPython()).rejects.toThrow('none was found');
});

test('checks that AUTORESEARCH_PYTHON runs, is new enough and has the modules', async () => {
  process.env['AUTORESEARCH_PYTHON'] = '/nowhere/python';
  await expect(ensureTrainerPython(() => undefined)).rejects.toThrow('/nowhere/python does not run');
  const folder = fakePrograms({ old: `printf '/usr/bin/python3\\n3.9.2\\n'` });
  process.env['AUTORESEARCH_PYTHON'] = join(folder, 'old');
  await expect(ensureTrainerPython(() => undefined)).rejects.toThrow('is Python 3.9.2');
  const real = join(realPrograms(['python3']), 'python3');
  process.env['AUTORESEARCH_PYTHON'] = join(fakePrograms({ bare: `exec ${real} -I -S "$@"` }), 'bare');
  await expect(ensureTrainerPython(() => undefined)).rejects.toMatchObject({
    name: 'MissingPrerequisite',
    message: expect.stringMatching(/lacks torch, numpy/u),
  });
});
