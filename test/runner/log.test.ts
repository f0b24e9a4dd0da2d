import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BoundedLog } from '../../src/runner/log';

const LIMIT = 1_000;

const folder = mkdtempSync(join(tmpdir(), 'log-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** How many files of this test, and full disks, this process has open. */
const openFiles = (): number =>
  readdirSync('/proc/self/fd')
    .map(fileOf)
    .filter((path) => path === '/dev/full' || path.startsWith(folder)).length;

function fileOf(descriptor: string): string {
  try {
    return readlinkSync(`/proc/self/fd/${descriptor}`);
  } catch {
    // The one that has read the list of them.
    return '';
  }
}

/** Says many numbered lines. */
function chatter(log: BoundedLog, from: number): void {
  for (let line = from; line < from + 100; line++) log.append(Buffer.from(`line ${line} of many\n`));
}

test('on a full disk it leaves its file whole, no other one open, and goes on when there is room', () => {
  const path = join(folder, 'full');
  const log = new BoundedLog(path, LIMIT);
  chatter(log, 0);
  for (let time = 0; time < 10; time++) {
    // Where the shorter one would be written, there is no room.
    symlinkSync('/dev/full', `${path}.tmp`);
    chatter(log, 100);
    rmSync(`${path}.tmp`, { force: true });
  }
  expect(openFiles()).toBe(1);
  chatter(log, 200);
  expect(log.tail()).toMatch(/line 299 of many\n$/);
  log.close();
  expect(statSync(path).size).toBeLessThanOrEqual(LIMIT);
  expect(readFileSync(path, 'utf8')).toMatch(/^line 0 of many\n[^]*bytes left out[^]*line 299 of many\n$/);
});

test('that cannot be replaced stays the one that it is', () => {
  const path = join(folder, 'replaced');
  const log = new BoundedLog(path, LIMIT);
  rmSync(path);
  mkdirSync(join(path, 'something'), { recursive: true });
  chatter(log, 0);
  expect(openFiles()).toBe(1);
  log.close();
  expect(openFiles()).toBe(0);
});
