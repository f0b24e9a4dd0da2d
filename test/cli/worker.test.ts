/** `worker`, as a container runs it: the compiled command, a real server, a real worker. Needs a build. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { isAlive, terminate } from '../../src/process/owner';
import { asset } from '../../src/process/package-root';
import { runningWorker } from '../../src/temporal/worker-process';
import { ensureServer } from '../../src/temporal/server';
import { freePorts, useOwnState } from '../temporal/own-state';
import { until } from '../workflows/world';

jest.setTimeout(120_000);
useOwnState();

function start(...args: string[]): ChildProcess {
  return spawn(process.execPath, [asset('bin', 'autoresearch.js'), 'worker', ...args], {
    env: { ...process.env, AUTORESEARCH_DEVICES: 'cpu' },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
}

async function exitCode(child: ChildProcess): Promise<number | null> {
  const [code] = await once(child, 'exit');
  return code;
}

test('it starts the worker again when that dies, and ends it on SIGTERM', async () => {
  await ensureServer(await freePorts(), () => undefined);
  expect(await exitCode(start('--check'))).toBe(4);
  const command = start();
  try {
    const first = (await until(runningWorker, (worker) => worker !== null, 60))!;
    expect(await exitCode(start('--check'))).toBe(0);
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
