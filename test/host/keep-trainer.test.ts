/** Running studies keep the torch that they were scored with, or nothing changes. */
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { workerState } from '../../src/process/paths';
import { keepTrainer } from '../../src/host/keep-trainer';
import type { ServerAddress } from '../../src/temporal/server-address';
import { connect } from '../../src/temporal/connection';
import { openStudies } from '../../src/temporal/executions';
import { controlQueue } from '../../src/temporal/queues';
import { ensureServer } from '../../src/host/server';
import { writeWorkerInfo } from '../../src/temporal/worker-info';
import { freePorts, useOwnState } from '../temporal/own-state';
import { until } from '../workflows/world';
import { fakePrograms } from '../setup/fake-programs';

jest.setTimeout(120_000);
useOwnState();

/** An interpreter, as far as it is asked for its torch. */
const python = (torch: string): string => join(fakePrograms({ python: `echo ${torch}` }), 'python');

let server: ServerAddress;
let said: string[];
beforeEach(async () => {
  delete process.env['AUTORESEARCH_PYTHON'];
  said = [];
  server = await ensureServer(await freePorts(), () => undefined);
});
const keep = (installed: string): Promise<string> =>
  keepTrainer(server, installed, (line) => said.push(line));

/** A worker that has ended since. */
async function lastWorker(interpreter: string, torch: string | null): Promise<void> {
  mkdirSync(workerState(), { recursive: true });
  await writeWorkerInfo({
    format: 2,
    owner: { pid: 1, startTime: '0', bootId: 'another' },
    build: '000000000000',
    address: server.address,
    namespace: server.namespace,
    credentials: '00000000',
    queues: [controlQueue()],
    devices: ['cpu'],
    python: interpreter,
    torch,
    has: { anthropicKey: false, variables: {}, codecKeys: [] },
    startedAt: new Date().toISOString(),
    isEnding: false,
  });
}

/** A workflow that waits for a worker is one that runs. */
async function study(work: () => Promise<void>): Promise<void> {
  const { client, connection } = await connect(server);
  try {
    const options = { taskQueue: controlQueue(), workflowId: 'study-nov21', args: [] };
    const handle = await client.workflow.start('study', options);
    await until(
      () => openStudies(client, controlQueue()),
      ({ length }) => length === 1,
      60,
    );
    await work();
    await handle.terminate();
    await until(
      () => openStudies(client, controlQueue()),
      ({ length }) => length === 0,
      60,
    );
  } finally {
    await connection.close();
  }
}

test('the last torch stays while a study runs, and the new one comes afterwards', async () => {
  const [old, installed] = [python('2.15.0'), python('2.16.0')];
  await lastWorker(old, '2.15.0');
  await study(async () => {
    expect(await keep(installed)).toBe(old);
    expect(said).toEqual([
      expect.stringMatching(/study-nov21 runs with torch 2\.15\.0 .* torch 2\.16\.0 comes/u),
    ]);
    // Another package of the lock, and the same torch.
    const same = python('2.15.0');
    expect(await keep(same)).toBe(same);
    // From before workers wrote it down.
    await lastWorker(old, null);
    expect(await keep(installed)).toBe(old);
  });
  expect(await keep(installed)).toBe(installed);
});

test('where it is gone, replaced at its place, or another is named, that is refused', async () => {
  const [old, installed] = [python('2.15.0'), python('2.16.0')];
  const refused = { name: 'TakeoverRefused', todo: expect.stringContaining('AUTORESEARCH_PYTHON') };
  await study(async () => {
    await lastWorker(installed, '2.15.0');
    await expect(keep(installed)).rejects.toMatchObject(refused);
    await lastWorker(old, '2.15.0');
    process.env['AUTORESEARCH_PYTHON'] = installed;
    await expect(keep(installed)).rejects.toMatchObject(refused);
    delete process.env['AUTORESEARCH_PYTHON'];
    rmSync(old);
    await expect(keep(installed)).rejects.toMatchObject({
      ...refused,
      message: expect.stringMatching(
        /study-nov21 runs with torch 2\.15\.0.*could not go on with torch 2\.16\.0/u,
      ),
    });
  });
});
