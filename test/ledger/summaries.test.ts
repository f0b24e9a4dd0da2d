import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { summarize } from '../../src/domain/experiment';
import { openLedger, readLedger, recordPath } from '../../src/ledger/ledger';
import { writeBlob, writeCommit, editTree } from '../../src/ledger/objects';
import { ledgerRef } from '../../src/ledger/refs';
import { readSummaries } from '../../src/ledger/summaries';
import { labId, studyState } from '../../src/process/paths';
import { makeLab, makeRecord, makeStudy } from '../labs/make-lab';

const MANY = 220;
const state = mkdtempSync(join(tmpdir(), 'summaries-'));
process.env['XDG_STATE_HOME'] = state;
afterAll(() => rmSync(state, { recursive: true, force: true }));

const { root, git, base } = makeLab();
const study = makeStudy(root, base, 'many');
const file = join(studyState(labId(git.directory), 'many'), 'summaries.json');
const read = (build = 'b1') => readSummaries(git, 'many', build);

/** Adds or replaces records in one commit. */
async function commit(numbers: readonly number[], text: (number: number) => string): Promise<void> {
  const head = await git.resolve(ledgerRef('many'));
  const changes = await Promise.all(
    numbers.map(async (number) => ({
      path: recordPath(number),
      mode: '100644',
      id: await writeBlob(git, text(number)),
    })),
  );
  const tree = await editTree(git, head, changes);
  const next = await writeCommit(git, { tree, parent: head, message: 'more', at: study.createdAt });
  await git.moveRef(ledgerRef('many'), next, head);
}
const titled =
  (title: string) =>
  (number: number): string =>
    JSON.stringify(makeRecord(study, number, { title, commit: base }));
const numbers = Array.from({ length: MANY }, (_, number) => number);

beforeAll(async () => {
  await openLedger(git, study);
  for (let from = 0; from < MANY; from += 20) await commit(numbers.slice(from, from + 20), titled('first'));
});

it('are those of the records, with and without the stored file, which many records make', async () => {
  const expected = (await readLedger(git, 'many')).map(summarize);
  expect(expected).toHaveLength(MANY);
  expect(await read()).toEqual(expected);
  const { mtimeMs } = statSync(file);
  expect(await read()).toEqual(expected);
  expect(statSync(file).mtimeMs).toBe(mtimeMs);
});

it('follow records that were added or changed since', async () => {
  await commit([MANY], titled('added'));
  await commit([3], titled('changed'));
  const titles = (await read()).map(({ title }) => title);
  expect(titles).toHaveLength(MANY + 1);
  expect([titles[3], titles[4], titles[MANY]]).toEqual(['changed', 'first', 'added']);
});

it('are not taken from a file that is damaged, or that another build wrote', async () => {
  const whole = readFileSync(file, 'utf8');
  for (const text of ['', whole.slice(0, -100), 'null', whole.replaceAll('first', 'forged')]) {
    writeFileSync(file, text);
    const titles = (await read('b2')).map(({ title }) => title);
    expect([titles.length, titles[4]]).toEqual([MANY + 1, 'first']);
  }
});

it('report a damaged record, whatever is stored', async () => {
  await read();
  await commit([5], () => '{}');
  await expect(read()).rejects.toThrow(/experiments\/0005\.json .* is damaged/);
});
