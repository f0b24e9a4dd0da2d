import { execFileSync } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { keep } from '../../src/process/supervise';
import { asset } from '../../src/process/package-root';
import { killYoung, left, processesWith } from '../runner/workshop';

/** A child, a double fork and a session of their own, all deaf to SIGTERM; then what the words say. */
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
  const kept = await keep({ command: family(marker, `sleep 0.3; ${rest}`) });
  expect(await kept.exited).toEqual(exit);
  expect(kept.begunPid()).toBeGreaterThan(0);
  expect(processesWith(marker)).toEqual([]);
});

test('what is released is ended at once, however deaf', async () => {
  const marker = `marker-${process.pid}-released`;
  const kept = await keep({ command: family(marker, 'sleep 600') });
  while (processesWith(marker).length < 3) await sleep(20);
  kept.release();
  expect(await kept.exited).toEqual({ code: null, signal: 'SIGKILL' });
  expect(processesWith(marker)).toEqual([]);
});

test('nothing outlives whoever started it, killed at whatever instant', async () => {
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
    const keeper = spawn('python3', ['-I', '-S', process.argv[1], process.argv[2]], { stdio, detached: true });
    // It says on its lifeline when the command has begun.
    keeper.stdio[3].pipe(process.stdout);
    process.stdout.write('started');`;
  await killYoung([process.execPath, '-e', starter, asset('src', 'process', 'supervisor.py'), task], 20);
  expect(await left(marker)).toEqual([]);
});

test('a SIGTERM that comes while the command is being started reaches it', async () => {
  const marker = `marker-${process.pid}-young`;
  const folder = await mkdtemp(join(tmpdir(), 'keep-'));
  const gate = join(folder, 'cgroup.procs');
  execFileSync('mkfifo', [gate]);
  const kept = await keep({ command: ['/bin/sh', '-c', `sleep 600; : ${marker}`], cgroup: folder });
  // The keeper, and what is to become the command: it waits for whoever reads that it has entered its cgroup.
  while (processesWith(marker).length < 2) await sleep(10);
  kept.keeper.kill('SIGTERM');
  await readFile(gate);
  expect(await kept.exited).toEqual({ code: null, signal: 'SIGTERM' });
  expect(processesWith(marker)).toEqual([]);
  await rm(folder, { recursive: true });
});

test('a command that is not there is told', async () => {
  const kept = await keep({ command: ['/no/such/program'] });
  let said = '';
  kept.keeper.stderr.setEncoding('utf8').on('data', (text: string) => (said += text));
  expect(await kept.exited).toEqual({ code: 127, signal: null });
  expect(said).toContain('No such file or directory');
});
