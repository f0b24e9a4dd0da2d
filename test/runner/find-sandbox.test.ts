/** Whether there is a sandbox is found by trying; what the trial comes to must not depend on how busy the host is just then. */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { findSandbox } from '../../src/runner/sandbox';

const PATH = process.env['PATH'];
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'bwrap-'));
});
afterEach(() => {
  process.env['PATH'] = PATH;
  rmSync(folder, { recursive: true });
});

/** In the place of bubblewrap. */
function bwrap(script: string, mode = 0o755): void {
  writeFileSync(join(folder, 'bwrap'), `#!/bin/sh\n${script}\n`);
  chmodSync(join(folder, 'bwrap'), mode);
  process.env['PATH'] = `${folder}${delimiter}${PATH}`;
}

test.each([
  [
    'no namespaces for this user',
    'echo "bwrap: No permissions to create a new namespace" >&2; exit 1',
    'does not run: bwrap: No permissions',
  ],
  ['an end without a word', 'exit 3', 'does not run: it ended with 3'],
])('%s: there is none, and why', async (_what, script, detail) => {
  bwrap(script);
  expect(await findSandbox()).toEqual({ sandbox: 'none', detail: expect.stringContaining(detail) });
});

test('not installed: there is none', async () => {
  process.env['PATH'] = folder;
  expect(await findSandbox()).toEqual({
    sandbox: 'none',
    detail: expect.stringContaining('install bubblewrap'),
  });
});

test.each([
  [
    'processes',
    'echo "bwrap: Creating new namespace failed: Resource temporarily unavailable" >&2; exit 1',
    'temporarily unavailable',
  ],
  ['memory', 'echo "bwrap: Cannot allocate memory" >&2; exit 1', 'Cannot allocate memory'],
  ['patience, or memory: somebody kills it', 'kill -9 $$', 'SIGKILL'],
])('a host that is short of %s is not one without a sandbox', async (_what, script, message) => {
  bwrap(script);
  await expect(findSandbox()).rejects.toThrow(message);
});
