/** `up` and `down` as the user calls them: the compiled command, a real server, a real worker. Needs a build. */
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { z } from 'zod';
import { isAlive, ownerOf, ownerSchema, terminate, type Owner } from '../../src/process/owner';
import { asset } from '../../src/process/package-root';
import type { TaskStatus } from '../../src/runner/task';
import { runningServer } from '../../src/temporal/server-info';
import { workerInfoFile } from '../../src/temporal/worker-info';
import { freePorts, useOwnState } from '../temporal/own-state';

jest.setTimeout(120_000);
const state = useOwnState();

const upSchema = z.object({
  server: z.object({ address: z.string(), state: z.string(), warnings: z.array(z.string()) }),
  worker: z.object({
    owner: ownerSchema,
    state: z.string(),
    address: z.string(),
    queues: z.array(z.string()),
  }),
});
const downSchema = z.object({ runs: z.array(z.string()), worker: z.boolean(), server: z.boolean() });

async function autoresearch(...args: string[]): Promise<{ exitCode: number; stdout: string }> {
  const options = { env: { ...process.env, XDG_STATE_HOME: state.home() } };
  try {
    const { stdout } = await promisify(execFile)(
      process.execPath,
      [asset('bin', 'autoresearch.js'), ...args, '--json'],
      options,
    );
    return { exitCode: 0, stdout };
  } catch (error) {
    const { code, stdout } = z.object({ code: z.number(), stdout: z.string() }).parse(error);
    return { exitCode: code, stdout };
  }
}

async function up(...args: string[]): Promise<z.infer<typeof upSchema>> {
  const { exitCode, stdout } = await autoresearch('up', ...args);
  expect(exitCode).toBe(0);
  return upSchema.parse(JSON.parse(stdout));
}

const down = async (): Promise<z.infer<typeof downSchema>> =>
  downSchema.parse(JSON.parse((await autoresearch('down')).stdout));

async function portArguments(): Promise<string[]> {
  const { port, uiPort } = await freePorts();
  return ['--port', String(port), '--ui-port', String(uiPort)];
}

test('two at once give one server and one worker, and down ends both', async () => {
  const ports = await portArguments();
  const [one, other] = await Promise.all([up(...ports), up(...ports)]);
  expect(other.worker.owner).toEqual(one.worker.owner);
  expect([one.server.state, other.server.state].toSorted()).toEqual(['running', 'started']);
  expect(isAlive(one.worker.owner)).toBe(true);
  const server = (await runningServer())!.owner;
  expect(await down()).toEqual({ runs: [], worker: true, server: true });
  expect([isAlive(one.worker.owner), isAlive(server)]).toEqual([false, false]);
  expect(await down()).toEqual({ runs: [], worker: false, server: false });
});

test('killed parts are started again, and what runs is left as it is', async () => {
  const first = await up(...(await portArguments()));
  await terminate(first.worker.owner, { graceMs: 0 });
  const second = await up();
  expect(second).toMatchObject({ server: { state: 'running' }, worker: { state: 'started' } });
  await terminate((await runningServer())!.owner, { graceMs: 0 });
  const third = await up();
  expect(third).toMatchObject({
    server: { state: 'started', address: first.server.address },
    worker: { state: 'running', owner: second.worker.owner },
  });
});

test('a worker of another build is replaced', async () => {
  const first = await up(...(await portArguments()));
  const info: object = JSON.parse(readFileSync(workerInfoFile(), 'utf8'));
  writeFileSync(workerInfoFile(), JSON.stringify({ ...info, build: '000000000000' }));
  const second = await up();
  expect(second.worker.state).toBe('replaced');
  expect(isAlive(first.worker.owner)).toBe(false);
  expect(isAlive(second.worker.owner)).toBe(true);
});

test('a worker that cannot start is told with its reason, and nothing is left of it', async () => {
  process.env['AUTORESEARCH_DEVICES'] = 'cuda:9';
  const { exitCode, stdout } = await autoresearch('up', ...(await portArguments()));
  expect(exitCode).toBe(4);
  expect(JSON.parse(stdout)).toMatchObject({
    error: { code: 'server', message: expect.stringContaining('AUTORESEARCH_DEVICES names cuda:9') },
  });
  expect(await down()).toEqual({ runs: [], worker: false, server: true });
});

test('down ends live runs of ours, and nothing that is not ours', async () => {
  await up(...(await portArguments()));
  const runner = sleeper();
  const stranger = sleeper();
  const finished = sleeper();
  noteRun('0007', { owner: ownerOf(runner.pid!)!, phase: 'training' });
  noteRun('0006', { owner: ownerOf(finished.pid!)!, phase: 'done' });
  expect(await down()).toEqual({ runs: ['nov21/0007/1'], worker: true, server: true });
  expect(ownerOf(runner.pid!)).toBeNull();
  for (const other of [stranger, finished]) {
    expect(ownerOf(other.pid!)).not.toBeNull();
    other.kill();
  }
});

test('a port in use ends with code 6, a wrong address with code 4, nonsense with code 2', async () => {
  const ports = await portArguments();
  await up(...ports);
  const { exitCode, stdout } = await autoresearch('up', ...(await portArguments()));
  expect(exitCode).toBe(6);
  expect(JSON.parse(stdout)).toMatchObject({
    error: { code: 'conflict', todo: expect.stringContaining('down') },
  });
  process.env['TEMPORAL_ADDRESS'] = `127.0.0.1:${(await freePorts()).port}`;
  expect((await autoresearch('up')).exitCode).toBe(4);
  expect((await autoresearch('up', '--port', '70000')).exitCode).toBe(2);
});

function sleeper(): ChildProcess {
  return spawn('sleep', ['300'], { stdio: 'ignore' });
}

/** What a runner writes of itself. */
function noteRun(number: string, { owner, phase }: { owner: Owner; phase: TaskStatus['phase'] }): void {
  const folder = join(
    state.home(),
    'autoresearch',
    'labs',
    '0123abcd',
    'nov21',
    'runs',
    number,
    '1',
    'train-1',
  );
  mkdirSync(folder, { recursive: true });
  // prettier-ignore
  const status: TaskStatus = {
    format: 1, owner, phase, updatedAt: 0, startedAt: null, deadline: null, step: 0, tokens: 0, lastLoss: null,
    startupSeconds: 0, trainSeconds: 0, wallSeconds: 0, dataWaitSeconds: 0, peakMemoryMb: 0,
    initialWeights: null, weights: null, parameters: 0, sandbox: 'bubblewrap', score: null, failure: null,
  };
  writeFileSync(join(folder, 'status.json'), JSON.stringify(status));
}
