import { rm, truncate } from 'node:fs/promises';
import { terminate } from '../../src/process/owner';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from '../../src/temporal/connection';
import { stopDevServer } from '../../src/host/dev-server';
import { inspectNamespace } from '../../src/temporal/namespace';
import { SCORE, STUDY } from '../../src/temporal/search-attributes';
import { ensureServer } from '../../src/host/server';
import { runningServer, serverInfoFile } from '../../src/temporal/server-info';
import { accepts } from '../../src/host/ports';
import { until } from '../workflows/world';
import { freePorts, listen, portOf, useOwnState } from '../temporal/own-state';

jest.setTimeout(180_000);
useOwnState();

const quiet = (): void => undefined;

test('a new server has a retention of 90 days and accepts our search attributes at once', async () => {
  const server = await ensureServer(await freePorts(), quiet);
  expect(server).toMatchObject({ state: 'started', ours: true, warnings: [] });
  const connected = await connect();
  expect(await inspectNamespace(connected)).toEqual({ retentionDays: 90, missing: [], mistyped: [] });
  await connected.client.workflow.start('study', {
    workflowId: 'study-nov21',
    taskQueue: 'nobody',
    typedSearchAttributes: [
      { key: STUDY, value: 'nov21' },
      { key: SCORE, value: 1.25 },
    ],
  });
  const find = async (): Promise<string[]> => {
    const found = [];
    for await (const { workflowId } of connected.client.workflow.list({
      query: `AutoresearchStudy = 'nov21' AND AutoresearchScore < 2`,
    })) {
      found.push(workflowId);
    }
    return found;
  };
  // The server indexes them after it has answered the start.
  expect(await until(find, ({ length }) => length > 0)).toEqual(['study-nov21']);
  await connected.connection.close();
});

test('finds the running server instead of starting a second one', async () => {
  const ports = await freePorts();
  const first = await ensureServer(ports, quiet);
  const owner = (await runningServer())?.owner;
  expect(await ensureServer({}, quiet)).toMatchObject({ state: 'running', address: first.address });
  expect((await runningServer())?.owner).toEqual(owner);
  await expect(ensureServer(await freePorts(), quiet)).rejects.toMatchObject({
    name: 'PortInUse',
    todo: expect.stringContaining('down'),
  });
});

test('restarts a server that is ending', async () => {
  await ensureServer(await freePorts(), quiet);
  const { owner } = (await runningServer())!;
  // It is alive but takes no more calls.
  process.kill(owner.pid, 'SIGSTOP');
  const ready = ensureServer({}, quiet);
  setTimeout(() => process.kill(owner.pid, 'SIGKILL'), 1_000);
  expect(await ready).toMatchObject({ state: 'started' });
  expect((await runningServer())?.owner).not.toEqual(owner);
});

test('waits for a frozen server', async () => {
  await ensureServer(await freePorts(), quiet);
  const { owner } = (await runningServer())!;
  process.kill(owner.pid, 'SIGSTOP');
  const ready = ensureServer({}, quiet);
  // Longer than the connection timeout.
  setTimeout(() => process.kill(owner.pid, 'SIGCONT'), 6_000);
  expect(await ready).toMatchObject({ state: 'running' });
  expect((await runningServer())?.owner).toEqual(owner);
});

test('restarts a server that dies just after it listens', async () => {
  const ports = await freePorts();
  const ready = ensureServer(ports, quiet);
  await until(
    () => accepts(ports.port),
    (isThere) => isThere,
    30,
    5,
  );
  const { owner } = (await runningServer())!;
  // Frozen, so that it dies before it is ready.
  process.kill(owner.pid, 'SIGSTOP');
  await sleep(1_000);
  process.kill(owner.pid, 'SIGKILL');
  expect(await ready).toMatchObject({ state: 'started' });
  expect((await runningServer())?.owner).not.toEqual(owner);
});

test('waits for a server that does not listen yet', async () => {
  const ports = await freePorts();
  const first = ensureServer(ports, quiet);
  const { owner } = (await until(runningServer, (info) => info !== null, 30, 5))!;
  process.kill(owner.pid, 'SIGSTOP');
  // As after an `up` that was killed right after it started the server.
  const second = ensureServer({}, quiet);
  setTimeout(() => process.kill(owner.pid, 'SIGCONT'), 1_000);
  expect(await second).toMatchObject({ state: 'running' });
  await first;
  expect((await runningServer())?.owner).toEqual(owner);
});

test('after a kill it restarts at the same address with its data', async () => {
  const { address } = await ensureServer(await freePorts(), quiet);
  const before = await connect();
  await before.client.workflow.start('study', { workflowId: 'study-kept', taskQueue: 'nobody' });
  await before.connection.close();
  await terminate((await runningServer())!.owner, { graceMs: 0 });
  expect(await runningServer()).toBeNull();
  await expect(connect()).rejects.toMatchObject({ name: 'ServerUnavailable' });
  expect(await ensureServer({}, quiet)).toMatchObject({ state: 'started', address });
  const after = await connect();
  expect((await after.client.workflow.getHandle('study-kept').describe()).status.name).toBe('RUNNING');
  await after.connection.close();
});

test('refuses a requested port that is in use, and starts nothing', async () => {
  const other = await listen(0);
  const { uiPort } = await freePorts();
  await expect(ensureServer({ port: portOf(other), uiPort }, quiet)).rejects.toMatchObject({
    name: 'PortInUse',
    message: `port ${portOf(other)} is in use`,
    todo: expect.stringContaining('--port'),
  });
  expect(await runningServer()).toBeNull();
  other.close();
});

test('chooses and reports other ports if the last ones are taken', async () => {
  const ports = await freePorts();
  await ensureServer(ports, quiet);
  await stopDevServer();
  const other = await listen(ports.port);
  const said: string[] = [];
  const server = await ensureServer({}, (line) => said.push(line));
  expect(server.address).not.toBe(`127.0.0.1:${ports.port}`);
  expect(server.state).toBe('started');
  other.close();
});

test.each([
  ['removed', () => rm(serverInfoFile())],
  ['damaged', () => truncate(serverInfoFile(), 20)],
])('one whose record was %s is ended and started anew: no two have the database open', async (_how, lose) => {
  const ports = await freePorts();
  await ensureServer(ports, quiet);
  const lost = (await runningServer())!.owner;
  await lose();
  const said: string[] = [];
  expect(await ensureServer(ports, (line) => said.push(line))).toMatchObject({ state: 'started' });
  expect(said.join()).toContain(`process ${lost.pid}`);
  expect((await runningServer())?.owner.pid).not.toBe(lost.pid);
});

test('uses and prepares a server that the environment names, and never stops it', async () => {
  const { address } = await ensureServer(await freePorts(), quiet);
  process.env['TEMPORAL_ADDRESS'] = address;
  expect(await ensureServer({}, quiet)).toMatchObject({ state: 'named', ours: false, ui: null, address });
  process.env['TEMPORAL_NAMESPACE'] = 'absent';
  await expect(ensureServer({}, quiet)).rejects.toMatchObject({
    name: 'ServerUnavailable',
    message: expect.stringContaining('no namespace absent'),
  });
});

test('creates the named namespace on our own server', async () => {
  process.env['TEMPORAL_NAMESPACE'] = 'research';
  expect(await ensureServer(await freePorts(), quiet)).toMatchObject({ namespace: 'research', warnings: [] });
  const connected = await connect();
  expect(await inspectNamespace(connected)).toEqual({ retentionDays: 90, missing: [], mistyped: [] });
  await connected.connection.close();
});
