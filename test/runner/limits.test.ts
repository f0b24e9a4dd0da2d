import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { release } from 'node:os';
import { text } from 'node:stream/consumers';
import { Readable } from 'node:stream';
import { sendFilter } from '../../src/process/supervise';
import { asset } from '../../src/process/package-root';
import { findLimits } from '../../src/runner/limits';
import { smallest } from '../../src/runner/sandbox';

const TASKS = 400;
/** Sleeping children one after the other, never more than 500 over the limit: a real bomb would take the host with it. */
const BOUNDED_BOMB = `
import os, signal
children = []
try:
    for _ in range(${TASKS + 500}):
        child = os.fork()
        if child == 0:
            signal.pause()
        children.append(child)
except BlockingIOError:
    pass
print(len(children))`;
const PID_MAX = '/proc/sys/kernel/pid_max';

const [major = 0, minor = 0] = release().split('.').map(Number);
const isRoot = process.getuid?.() === 0;

/** The output of supervisor and sandbox. `prefix` stands before the supervisor's command line. */
async function boundedBomb(
  prefix: string[],
  tasks: number | null,
): Promise<{ said: string; children: number }> {
  const { argv: command, filter, devices } = smallest(['/usr/bin/python3', '-S', '-c', BOUNDED_BOMB]);
  const task = JSON.stringify({
    command,
    expendable: true,
    gated: true,
    cgroup: null,
    tasks,
    locked: false,
    filtered: true,
    devices,
  });
  const [program, ...words] = [
    ...prefix,
    '/usr/bin/python3',
    '-I',
    '-S',
    asset('src', 'process', 'supervisor.py'),
    task,
  ];
  const supervisor = spawn(program, words, {
    stdio: ['ignore', 'pipe', 'inherit', 'pipe', 'ignore', 'ignore', 'pipe'],
  });
  sendFilter(supervisor, filter!);
  const lifeline = supervisor.stdio[3];
  if (!(lifeline instanceof Readable) || supervisor.stdout === null) throw new Error('no lifeline');
  let said = '';
  lifeline.on('data', (chunk: Buffer) => (said += chunk.toString('utf8')));
  const children = Number(await text(supervisor.stdout));
  lifeline.destroy();
  return { said, children };
}

// The kernel exempts root from RLIMIT_NPROC, and has had a pid_max for each PID namespace since 6.14.
const asRoot = isRoot && (major > 6 || (major === 6 && minor >= 14)) ? describe : describe.skip;
// Any plain user's tasks are counted for each user namespace since 5.14.
const asUser = major > 5 || (major === 5 && minor >= 14) ? describe : describe.skip;

asRoot('as root', () => {
  it("the kernel refuses a sandbox more tasks, and the host's limit is as before", async () => {
    const before = readFileSync(PID_MAX, 'utf8');
    const { said, children } = await boundedBomb([], TASKS);
    expect(said).toMatch(/^began \d+ namespace$/m);
    expect(children).toBeLessThan(TASKS);
    expect(children).toBeGreaterThan(TASKS - 20);
    expect(readFileSync(PID_MAX, 'utf8')).toBe(before);
  });

  it('without that limit there would be no end', async () => {
    const { said, children } = await boundedBomb([], null);
    expect(said).toMatch(/^began \d+ nothing$/m);
    expect(children).toBe(TASKS + 500);
  });
});

asUser('as a plain user', () => {
  it('the kernel refuses a sandbox more tasks', async () => {
    const prefix = isRoot ? ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'] : [];
    const { said, children } = await boundedBomb(prefix, TASKS);
    expect(said).toMatch(/^began \d+ rlimit$/m);
    expect(children).toBeLessThan(TASKS);
    expect(children).toBeGreaterThan(TASKS - 20);
  });
});

asRoot('findLimits', () => {
  it('names what bounds the processes, found by a trial', async () => {
    const { tasks, memory, detail } = await findLimits();
    expect(tasks).toBe(memory ?? 'pid_max of the PID namespace');
    expect(detail === '').toBe(memory !== null);
  });
});
