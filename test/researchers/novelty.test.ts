import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { applyEdits } from '../../src/labs/apply-edits';
import { readLabConfigAt } from '../../src/labs/lab';
import { packageRoot } from '../../src/process/package-root';
import { tooMuchData } from '../../src/researchers/novelty';
import { git, makeLab, write } from '../labs/make-lab';

jest.setTimeout(120_000);

const never = new AbortController().signal;
const SOURCE = readFileSync(join(packageRoot(), 'trainer', 'train.py'), 'utf8');

/** Makes a lab whose base has this train.py. @returns a function that checks another train.py */
async function place(base = SOURCE) {
  const lab = makeLab();
  write(lab.root, { 'train.py': base });
  git(lab.root, 'commit', '--quiet', '--all', '--message', 'base');
  const commit = git(lab.root, 'rev-parse', 'HEAD');
  const { caps, ...rest } = await readLabConfigAt(lab.git, commit);
  const rules = { ...rest, caps: { ...caps, edit_bytes: 1 << 20 } };
  return async (text: string): Promise<string | null> => {
    const tree = await applyEdits(lab.git, commit, [{ path: 'train.py', content: text }], rules);
    return tooMuchData(lab.git, commit, tree, rules, never);
  };
}

const data = (bytes: number): string => randomBytes(bytes).toString('base64');
const identifier = (bytes: number): string => `x${randomBytes(bytes).toString('hex')}`;
const LITERALS =
  /^the editable files hold \d+ bytes of strings and numbers .* caps\.literal_bytes allows 8192/;
const PACKED =
  /^the lines of the editable files .* are \d+ bytes when compressed, caps\.packed_bytes allows 24576/;

const list = (length: number, each: () => unknown): string => Array.from({ length }, each).join();
const number = (): number => Math.floor(Math.random() * 65_536);

test.each([
  ['rows in a string', `ROWS = "${data(12_000)}"\n`, LITERALS],
  ['rows in bytes', `ROWS = b"${data(12_000)}"\n`, LITERALS],
  ['rows in a docstring', `def rows():\n    """${data(12_000)}"""\n`, LITERALS],
  ['rows in an f-string', `ROWS = f"${data(12_000)}{1}"\n`, LITERALS],
  ['rows in a list of numbers', `ROWS = [${list(4_000, number)}]\n`, LITERALS],
  ['rows in one long number', `ROWS = 0x${randomBytes(12_000).toString('hex')}\n`, LITERALS],
  ['rows in many short strings', `${list(3_000, () => `"${data(3)}"`)}\n`, LITERALS],
  [
    'rows in comments, read from the file',
    Array.from({ length: 600 }, () => `# ${data(60)}`).join('\n'),
    PACKED,
  ],
  ['rows in names', `def rows(${list(1200, () => identifier(30))}): pass\n`, PACKED],
  [
    'rows in blank space',
    Array.from({ length: 250_000 }, () => (Math.random() < 0.5 ? '' : '#')).join('\n'),
    PACKED,
  ],
  ['rows in Python that is none', `((( ${data(12_000)}\n`, LITERALS],
])('%s are too much', async (_what, text, message) => {
  const ask = await place();
  expect(await ask(SOURCE + text)).toMatch(message);
  // It also counts when it replaces the base's code.
  expect(await ask(text)).toMatch(message);
});

test("data that replaces the base's data counts as new", async () => {
  const ask = await place(`${SOURCE}ROWS = "${data(100_000)}"\n`);
  expect(await ask(`${SOURCE}ROWS = "${data(12_000)}"\n`)).toMatch(LITERALS);
  expect(await ask(SOURCE)).toBeNull();
});

test('many small edits get no more room than one', async () => {
  const ask = await place();
  let text = SOURCE;
  const verdicts: (string | null)[] = [];
  for (let edit = 0; edit < 4; edit++) {
    text += `PART_${edit} = "${data(2_000)}"\n`;
    verdicts.push(await ask(text));
  }
  expect(verdicts).toEqual([null, null, null, expect.stringMatching(LITERALS)]);
});

test.each([
  ['a constant', (text: string) => text.replace(/= 0\.9\d*/, '= 0.93')],
  ['everything renamed', (text: string) => text.replaceAll(/\b([a-z]{4,})\b/g, '$1_new')],
  ['functions in another order', (text: string) => text.split('\n\n\n').toReversed().join('\n\n\n')],
  [
    'a rewrite of twice the size',
    (text: string) => `${text.replaceAll('e', 'o')}\n${text.replaceAll('a', 'u').replaceAll('e', 'i')}`,
  ],
  ['fewer lines', (text: string) => text.slice(0, 4_000)],
])('honest: %s', async (_what, change) => {
  const ask = await place();
  expect(await ask(change(SOURCE))).toBeNull();
});
