/** `up` and `down` as the user calls them: the compiled command, a real server, a real worker. Needs a build. */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { z } from 'zod';
import { launchRegistered } from '../../src/process/register';
import { isAlive, ownerOf, ownerSchema, terminate } from '../../src/process/owner';
import { asset } from '../../src/process/package-root';

import { runningServer, serverLock } from '../../src/temporal/server-info';
import { workerInfoFile, workerLock } from '../../src/temporal/worker-info';
import { freePorts, refusingProxy, useOwnState } from '../temporal/own-state';

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
const downSchema = z.object({ work: z.array(z.string()), worker: z.boolean(), server: z.boolean() });

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
  expect(await down()).toEqual({ work: [], worker: true, server: true });
  expect([isAlive(one.worker.owner), isAlive(server)]).toEqual([false, false]);
  expect(await down()).toEqual({ work: [], worker: false, server: false });
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

test('variables of a proxy do not keep us from our own server', async () => {
  await using proxy = await refusingProxy();
  for (const name of ['grpc_proxy', 'http_proxy', 'https_proxy', 'all_proxy']) {
    process.env[name] = `http://${proxy.address}`;
    process.env[name.toUpperCase()] = `http://${proxy.address}`;
  }
  for (const name of ['no_proxy', 'no_grpc_proxy', 'NO_PROXY']) delete process.env[name];
  const { worker, server } = await up(...(await portArguments()));
  expect([worker.state, server.state]).toEqual(['started', 'started']);
  expect(await up()).toMatchObject({ worker: { state: 'running' }, server: { state: 'running' } });
  const { checks } = z
    .object({ checks: z.array(z.object({ name: z.string(), state: z.string() })) })
    .parse(JSON.parse((await autoresearch('doctor')).stdout));
  expect(checks).toContainEqual({ name: 'Temporal server', state: 'ok' });
  expect(proxy.asked()).toBe(0);
});

test('a worker that is ending is not taken for one that works', async () => {
  const first = await up(...(await portArguments()));
  process.kill(first.worker.owner.pid, 'SIGTERM');
  const second = await up();
  expect(second.worker.state).toBe('started');
  expect([isAlive(first.worker.owner), isAlive(second.worker.owner)]).toEqual([false, true]);
});

test('a worker of another build is replaced', async () => {
  const first = await up(...(await portArguments()));
  rewriteWorker({ build: '000000000000' });
  const second = await up();
  expect(second.worker.state).toBe('replaced');
  expect(isAlive(first.worker.owner)).toBe(false);
  expect(isAlive(second.worker.owner)).toBe(true);
});

test('devices that are not there are refused, and take no worker away', async () => {
  process.env['AUTORESEARCH_DEVICES'] = 'cpu';
  const { worker } = await up(...(await portArguments()));
  for (const wrong of ['cuda:9', 'cpu,', 'gpu']) {
    process.env['AUTORESEARCH_DEVICES'] = wrong;
    const { exitCode, stdout } = await autoresearch('up');
    expect([wrong, exitCode, JSON.parse(stdout)]).toEqual([
      wrong,
      7,
      { error: expect.objectContaining({ message: expect.stringContaining('AUTORESEARCH_DEVICES names') }) },
    ]);
  }
  expect(isAlive(worker.owner)).toBe(true);
  delete process.env['AUTORESEARCH_DEVICES'];
  expect((await up()).worker.owner).toEqual(worker.owner);
});

const KEY = 'sk-ant-first-secret';

test('a corrected key or address is taken up; a shell without it does not take it away', async () => {
  process.env['ANTHROPIC_API_KEY'] = KEY;
  const first = await up(...(await portArguments()));
  expect((await up()).worker.owner).toEqual(first.worker.owner);
  process.env['ANTHROPIC_API_KEY'] = '';
  expect((await up()).worker.owner).toEqual(first.worker.owner);
  // With another address only: the key goes over to the next worker.
  process.env['ANTHROPIC_BASE_URL'] = 'http://127.0.0.1:9/elsewhere';
  const second = await up();
  expect(second.worker.state).toBe('replaced');
  expect(environmentOf(second.worker.owner.pid)).toMatchObject({
    ANTHROPIC_API_KEY: KEY,
    ANTHROPIC_BASE_URL: 'http://127.0.0.1:9/elsewhere',
  });
  delete process.env['ANTHROPIC_BASE_URL'];
  process.env['ANTHROPIC_API_KEY'] = 'sk-ant-second-secret';
  const third = await up();
  expect(third.worker.state).toBe('replaced');
  expect(environmentOf(third.worker.owner.pid)).toMatchObject({ ANTHROPIC_API_KEY: 'sk-ant-second-secret' });
  expect(readFileSync(workerInfoFile(), 'utf8')).not.toContain('secret');
  expect(isAlive(first.worker.owner) || isAlive(second.worker.owner)).toBe(false);
});

function environmentOf(pid: number): Record<string, string> {
  const lines = readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0');
  return Object.fromEntries(lines.map((line) => line.split(/=(.*)/s, 2)));
}

/** What the last worker is said to have been. */
function rewriteWorker(changes: object): void {
  const info: object = JSON.parse(readFileSync(workerInfoFile(), 'utf8'));
  writeFileSync(workerInfoFile(), JSON.stringify({ ...info, ...changes }));
}

/** In the place of the driver's own. */
function nvidiaSmi(script: string): void {
  writeFileSync(join(state.home(), 'nvidia-smi'), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  process.env['PATH'] = `${state.home()}:${process.env['PATH'] ?? ''}`;
  delete process.env['AUTORESEARCH_DEVICES'];
}

test('a GPU that the driver does not show yet is waited for, not replaced by the CPU', async () => {
  await up(...(await portArguments()));
  await down();
  rewriteWorker({ devices: ['cuda:0'] });
  nvidiaSmi('exit 9');
  const { exitCode, stdout } = await autoresearch('up');
  expect([exitCode, JSON.parse(stdout)]).toEqual([
    7,
    { error: expect.objectContaining({ message: expect.stringContaining('trained on cuda:0') }) },
  ]);
  expect((await down()).worker).toBe(false);
  process.env['AUTORESEARCH_DEVICES'] = 'cpu';
  await up();
});

test('a worker is not ended for one that could not tell what it trains on', async () => {
  const { worker } = await up(...(await portArguments()));
  rewriteWorker({ build: '000000000000' });
  nvidiaSmi('exec sleep 600');
  const { exitCode, stdout } = await autoresearch('up');
  expect([exitCode, JSON.parse(stdout)]).toEqual([
    7,
    { error: expect.objectContaining({ message: expect.stringContaining('nvidia-smi did not end within') }) },
  ]);
  expect(isAlive(worker.owner)).toBe(true);
});

test('nor is a living worker with a GPU ended for one without, nor a GPU forgotten when a worker cannot start', async () => {
  const { worker } = await up(...(await portArguments()));
  rewriteWorker({ devices: ['cuda:0'], build: '000000000000' });
  nvidiaSmi('exit 9');
  expect((await autoresearch('up')).exitCode).toBe(7);
  expect(isAlive(worker.owner)).toBe(true);
  await terminate(worker.owner, { graceMs: 5_000 });
  rewriteWorker({ devices: ['cuda:0'] });
  process.env['AUTORESEARCH_DEVICES'] = 'cuda:0';
  expect((await autoresearch('up')).exitCode).toBe(7);
  delete process.env['AUTORESEARCH_DEVICES'];
  expect((await autoresearch('up')).exitCode).toBe(7);
});

test('folders that another machine works in as well are not shared with it', async () => {
  await up(...(await portArguments()));
  await down();
  // As NFS passes on what is locked elsewhere.
  const locks = [serverLock(), workerLock()];
  const other = { pid: 7, startTime: '1', bootId: '6f3b0c1e-0000-4000-8000-000000000000' };
  const code =
    'import fcntl, sys\nfor path in sys.argv[2:]:\n' +
    ' file = open(path, "w", opener=None); fcntl.flock(file, fcntl.LOCK_EX); file.write(sys.argv[1]); file.flush()\n' +
    ' globals()[path] = file\nprint("held", flush=True); sys.stdin.read()';
  const holder = spawn('python3', ['-c', code, JSON.stringify({ ...other, name: 'worker' }), ...locks], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  try {
    await once(holder.stdout, 'data');
    const before = readFileSync(workerInfoFile(), 'utf8');
    const refused = await autoresearch('up');
    expect([refused.exitCode, JSON.parse(refused.stdout)]).toEqual([
      6,
      {
        error: expect.objectContaining({
          message: expect.stringContaining('another machine shares'),
          todo: expect.stringContaining('XDG_STATE_HOME'),
        }),
      },
    ]);
    expect(readFileSync(workerInfoFile(), 'utf8')).toBe(before);
  } finally {
    holder.kill('SIGKILL');
  }
});

test('down ends our own runs and no other process', async () => {
  await up(...(await portArguments()));
  const folder = join(state.home(), 'autoresearch', 'run');
  mkdirSync(folder, { recursive: true });
  const runner = await launchRegistered({
    command: ['sleep', '600'],
    cwd: folder,
    env: process.env,
    log: join(folder, 'log'),
    lock: join(folder, 'lock'),
    name: 'nov21/0007 run 1',
  });
  const stranger = spawn('sleep', ['600'], { stdio: 'ignore' });
  expect(await down()).toEqual({ work: ['nov21/0007 run 1'], worker: true, server: true });
  expect(runner !== null && isAlive(runner)).toBe(false);
  expect(ownerOf(stranger.pid!)).not.toBeNull();
  stranger.kill();
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
