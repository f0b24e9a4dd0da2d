import { execFileSync } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { supervise } from '../../src/process/supervise';
import { asset } from '../../src/process/package-root';
import { killYoung, left, processesWith } from '../runner/workshop';

/** A child, a double fork and a process in its own session, all ignoring SIGTERM; then `rest`. */
const family = (marker: string, rest: string): string[] => [
  '/bin/sh',
  '-c',
  `trap '' TERM; sleep 600 & (setsid sh -c 'sleep 600; : ${marker}' & ) ; setsid sh -c 'sleep 600; : ${marker}' & ${rest}; : ${marker}`,
];

test.each([
  ['exit 3', { code: 3, signal: null }],
  ['kill -9 $$', { code: null, signal: 'SIGKILL' }],
])('%s: ends as the command does, and nobody is left behind', async (rest, exit) => {
  const marker = `marker-${process.pid}-keep-${rest.length}`;
  const supervised = await supervise({ command: family(marker, `sleep 0.3; ${rest}`) });
  expect(await supervised.exited).toEqual(exit);
  expect(supervised.begunPid()).toBeGreaterThan(0);
  expect(processesWith(marker)).toEqual([]);
});

test('release kills at once, also processes that ignore SIGTERM', async () => {
  const marker = `marker-${process.pid}-released`;
  const supervised = await supervise({ command: family(marker, 'sleep 600') });
  while (processesWith(marker).length < 3) await sleep(20);
  supervised.release();
  expect(await supervised.exited).toEqual({ code: null, signal: 'SIGKILL' });
  expect(processesWith(marker)).toEqual([]);
});

test('nothing outlives its caller, killed at any instant', async () => {
  const marker = `marker-${process.pid}-orphan`;
  const task = JSON.stringify({
    command: family(marker, 'sleep 600'),
    expendable: false,
    gated: false,
    cgroup: null,
    tasks: null,
    locked: false,
    filtered: false,
    devices: [],
  });
  const starter = `
    const { spawn } = require('node:child_process');
    const stdio = ['ignore', 'ignore', 'ignore', 'pipe'];
    const supervisor = spawn('python3', ['-I', '-S', process.argv[1], process.argv[2]], { stdio, detached: true });
    // The lifeline reports when the command has begun.
    supervisor.stdio[3].pipe(process.stdout);
    process.stdout.write('started');`;
  await killYoung([process.execPath, '-e', starter, asset('src', 'process', 'supervisor.py'), task], 20);
  expect(await left(marker)).toEqual([]);
});

test('a SIGTERM during the start of the command reaches it', async () => {
  const marker = `marker-${process.pid}-young`;
  const folder = await mkdtemp(join(tmpdir(), 'keep-'));
  const gate = join(folder, 'cgroup.procs');
  execFileSync('mkfifo', [gate]);
  const supervised = await supervise({
    command: ['/bin/sh', '-c', `sleep 600; : ${marker}`],
    cgroup: folder,
  });
  // The supervisor, and its child that waits until its write to cgroup.procs is read.
  while (processesWith(marker).length < 2) await sleep(10);
  supervised.supervisor.kill('SIGTERM');
  await readFile(gate);
  expect(await supervised.exited).toEqual({ code: null, signal: 'SIGTERM' });
  expect(processesWith(marker)).toEqual([]);
  await rm(folder, { recursive: true });
});

test('reports a missing command', async () => {
  const supervised = await supervise({ command: ['/no/such/program'] });
  let said = '';
  supervised.supervisor.stderr.setEncoding('utf8').on('data', (text: string) => (said += text));
  expect(await supervised.exited).toEqual({ code: 127, signal: null });
  expect(said).toContain('No such file or directory');
});
