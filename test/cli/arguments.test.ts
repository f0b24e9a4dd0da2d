/** Any words after any command: an answer, or an error with its exit code. Never a fault of this program, never a stack. */
import { mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Runtime } from '@temporalio/worker';
import * as fc from 'fast-check';
import { SUMMARIES } from '../../src/cli/summaries';
import { MissingPrerequisite } from '../../src/process/missing-prerequisite';
import { autoresearch, labWith } from './invoke';

// What these would do to the host is tested elsewhere.
jest.mock('../../src/host/up', () => ({
  bringUp: () => Promise.reject(new MissingPrerequisite('not in this test', 'see another one')),
}));
jest.mock('../../src/host/down', () => ({
  takeDown: () => Promise.resolve({ work: [], worker: false, server: false }),
}));
jest.mock('../../src/host/doctor', () => ({ examine: () => Promise.resolve([]) }));

/** Once a process, says the SDK; here one process runs many commands. */
jest.spyOn(Runtime, 'install').mockImplementation(() => Runtime.instance());

const before = process.cwd();
let folder: string;
beforeAll(async () => {
  await labWith({ nov21: [{}, {}], nov22: [] });
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'arguments-')));
  process.chdir(folder);
});
afterAll(() => {
  process.chdir(before);
  rmSync(folder, { recursive: true });
});
afterEach(() => {
  process.exitCode = undefined;
});

/** Without those that serve until they are ended; `--follow`, which waits, is not among the options. */
const CALLED = Object.keys(SUMMARIES).filter((name) => !['codec', 'worker'].includes(name));
const OPTIONS = [
  '--json',
  '--lab',
  '--tag',
  '--tsv',
  '--now',
  '--experiments',
  '--gpu-hours',
  '--hours',
  '--repair',
  '--score',
  '--port',
  '--ui-port',
  '--data',
  '--researcher',
  '--command',
  '--train-seconds',
  '--train-steps',
  '--',
  '-',
  '--json=x',
  '--lab=',
];
const WORDS = [
  'nov21',
  'nov22',
  '0',
  '1',
  '-1',
  '7',
  '1e9',
  '1e400',
  'NaN',
  'none',
  'tpe',
  'command',
  '.',
  '..',
  '',
  ' ',
  'a/../b',
  'refs/heads/main',
  '--upload-pack=x',
  'ext::sh',
  '\u0000',
  '\u001B[2J',
  '𝔘𝔫𝔦',
  '-f',
  '-j',
  '$(id)',
  '__proto__',
  'constructor',
];
/** No path out of the test's own folder. */
const anyWord = fc
  .string({ unit: 'binary', maxLength: 12 })
  .filter((word) => !/[/~]|^-?-f/.test(word) && !'--follow'.startsWith(word));

const words = fc.array(
  fc.oneof(
    { weight: 4, arbitrary: fc.constantFrom(...OPTIONS) },
    { weight: 5, arbitrary: fc.constantFrom(...WORDS.filter((word) => word !== '-f')) },
    { weight: 2, arbitrary: anyWord },
  ),
  { maxLength: 6 },
);

test.each(CALLED)(
  '%s',
  async (command) => {
    await fc.assert(
      fc.asyncProperty(words, async (argv) => {
        process.exitCode = undefined;
        const { exitCode, stdout, stderr } = await autoresearch(command, ...argv);
        expect([0, 2, 3, 4, 5, 6, 7]).toContain(exitCode);
        expect(stdout + stderr).not.toMatch(/^\s+at .+[:(]\d+/m);
        // `verify` answers with 6 where something differs.
        expect([exitCode === 0 || exitCode === 6, /^(error: |\{"error":)/m.test(stderr + stdout)]).toContain(
          true,
        );
      }),
      { numRuns: 60, endOnFailure: true },
    );
  },
  120_000,
);

test('anything as a command', async () => {
  await fc.assert(
    fc.asyncProperty(anyWord, words, async (command, argv) => {
      const { exitCode } = await autoresearch(command, ...argv);
      expect([0, 2]).toContain(exitCode);
    }),
    { numRuns: 50 },
  );
});
