import {
  appendFileSync,
  closeSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { boundLog, tailOfLog } from '../../src/process/log-file';

const folder = mkdtempSync(join(tmpdir(), 'log-'));
const log = join(folder, 'a.log');
beforeEach(() => writeFileSync(log, ''));
afterAll(() => rmSync(folder, { recursive: true }));

test('bounds a growing log and leaves its beginning and its end', async () => {
  const writer = openSync(log, 'a');
  writeSync(writer, 'the first line\n');
  for (let hour = 0; hour < 20; hour++) {
    for (let line = 0; line < 100; line++) writeSync(writer, `hour ${hour}, line ${line}\n`);
    expect(await boundLog(log, 2_000)).toBeLessThanOrEqual(2_000);
  }
  writeSync(writer, 'the last line\n');
  closeSync(writer);
  const text = readFileSync(log, 'utf8');
  expect(text).toMatch(/^the first line\nhour 0, line 0\n/);
  expect(text).toMatch(/bytes left out …\]\n[^]*hour 19, line 99\nthe last line\n$/);
});

test('does not change a small log, and ignores a missing one', async () => {
  appendFileSync(log, 'short');
  expect(await boundLog(log, 2_000)).toBe(5);
  expect(readFileSync(log, 'utf8')).toBe('short');
  expect(await tailOfLog(log, 2)).toBe('ort');
  expect(await boundLog(join(folder, 'none.log'))).toBe(0);
  expect(await tailOfLog(join(folder, 'none.log'), 0)).toBe('');
});
