/** `worker`, as a container runs it: the compiled command, a real server, a real worker. Needs a build. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { holderOf } from '../../src/process/detach';
import { isAlive, terminate } from '../../src/process/owner';
import { asset, packageRoot } from '../../src/process/package-root';
import { takeDown } from '../../src/host/down';
import { bringUp } from '../../src/host/up';
import { ensureServer } from '../../src/host/server';
import { runningServer } from '../../src/temporal/server-info';
import { workerLock } from '../../src/temporal/worker-info';
import { runningWorker } from '../../src/host/worker-process';
import { freePorts, useOwnState } from '../temporal/own-state';
import { until } from '../workflows/world';

jest.setTimeout(240_000);
const state = useOwnState();

/** After a first death; a second is a pause of 2 s. */
const LONGER_THAN_A_PAUSE_MS = 3_000;

function start(args: string[] = [], root = packageRoot()): ChildProcess {
  return spawn(process.execPath, [join(root, 'bin', 'autoresearch.js'), 'worker', ...args], {
    env: { ...process.env, AUTORESEARCH_DEVICES: 'cpu' },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
}

/** A copy of this package, whose build can be changed. */
function installation(): string {
  const root = join(state.home(), 'installation');
  for (const name of ['bin', 'dist', 'src', 'trainer', 'package.json', 'package-lock.json'])
    cpSync(asset(name), join(root, name), { recursive: true });
  symlinkSync(asset('node_modules'), join(root, 'node_modules'));
  return root;
}

async function end(command: ChildProcess): Promise<void> {
  if (command.exitCode !== null || command.signalCode !== null) return;
  const ended = once(command, 'exit');
  command.kill('SIGTERM');
  await ended;
}

async function exitCode(child: ChildProcess): Promise<number | null> {
  const [code] = await once(child, 'exit');
  return code;
}

const quiet = (): void => undefined;

test('it starts the worker again when that dies, and ends it on SIGTERM', async () => {
  await ensureServer(await freePorts(), quiet);
  expect(await exitCode(start(['--check']))).toBe(4);
  const command = start();
  try {
    const first = (await until(runningWorker, (worker) => worker !== null, 60))!;
    expect(await exitCode(start(['--check']))).toBe(0);
    await terminate(first.owner, { graceMs: 0 });
    const second = (await until(runningWorker, (worker) => worker !== null, 60))!;
    expect(second.owner).not.toEqual(first.owner);
    const ended = exitCode(command);
    command.kill('SIGTERM');
    expect(await ended).toBe(0);
    expect(isAlive(second.owner)).toBe(false);
  } finally {
    command.kill('SIGKILL');
  }
});

test('it restarts our own server at its old address; the worker stays', async () => {
  await ensureServer(await freePorts(), quiet);
  const command = start();
  try {
    const worker = (await until(runningWorker, (found) => found !== null, 60))!;
    const first = (await runningServer())!;
    await terminate(first.owner, { graceMs: 0 });
    const second = await until(runningServer, (found) => found !== null, 60);
    expect(second).toMatchObject({ address: first.address, ui: first.ui });
    expect((await runningWorker())?.owner).toEqual(worker.owner);
  } finally {
    await end(command);
  }
});

test('it does not undo `down`, and goes on after `up`', async () => {
  await ensureServer(await freePorts(), quiet);
  const command = start();
  try {
    await until(runningWorker, (worker) => worker !== null, 60);
    await takeDown(quiet);
    await sleep(LONGER_THAN_A_PAUSE_MS);
    expect([await runningWorker(), await runningServer(), command.exitCode]).toEqual([null, null, null]);
    const { worker } = await bringUp({}, quiet);
    await sleep(1_000);
    await terminate(worker.info.owner, { graceMs: 0 });
    const next = await until(runningWorker, (found) => found !== null, 60);
    expect(next?.owner).not.toEqual(worker.info.owner);
  } finally {
    await end(command);
  }
});

test('a worker that dies before the command has seen it ready is one that died, not one that never began', async () => {
  await ensureServer(await freePorts(), quiet);
  const command = start();
  try {
    await until(
      () => holderOf(workerLock()),
      (holder) => holder !== null,
      60,
    );
    command.kill('SIGSTOP');
    const first = (await until(runningWorker, (worker) => worker !== null, 60))!;
    await terminate(first.owner, { graceMs: 0 });
    command.kill('SIGCONT');
    const second = await until(runningWorker, (worker) => worker !== null, 60);
    expect(second?.owner).not.toEqual(first.owner);
  } finally {
    command.kill('SIGCONT');
    await end(command);
  }
});

test('with another build installed it starts nothing, and ends for its service manager to start it again', async () => {
  await ensureServer(await freePorts(), quiet);
  const installed = installation();
  const command = start([], installed);
  try {
    const { owner } = (await until(runningWorker, (worker) => worker !== null, 60))!;
    writeFileSync(join(installed, 'dist', 'build-id'), 'ffffffffffff');
    const ended = exitCode(command);
    await terminate(owner, { graceMs: 0 });
    expect(await ended).toBe(6);
  } finally {
    await end(command);
  }
});
