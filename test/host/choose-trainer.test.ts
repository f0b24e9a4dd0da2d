/** Running studies continue with the torch that scored them. */
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { workerState } from '../../src/process/paths';
import { chooseTrainer } from '../../src/host/choose-trainer';
import type { ServerAddress } from '../../src/temporal/server-address';
import { connect } from '../../src/temporal/connection';
import { openStudies } from '../../src/temporal/executions';
import { controlQueue } from '../../src/temporal/queues';
import { ensureServer } from '../../src/host/server';
import { writeWorkerInfo } from '../../src/temporal/worker-info';
import { freePorts, useOwnState } from '../temporal/own-state';
import { until } from '../workflows/world';
import { fakePrograms } from './fake-programs';

jest.setTimeout(120_000);
useOwnState();

/** A stand-in interpreter that prints its torch version. */
const python = (torch: string): string => join(fakePrograms({ python: `echo ${torch}` }), 'python');

let server: ServerAddress;
let said: string[];
beforeEach(async () => {
  delete process.env['AUTORESEARCH_PYTHON'];
  said = [];
  server = await ensureServer(await freePorts(), () => undefined);
});
const choose = (installed: string): Promise<string> =>
  chooseTrainer(server, installed, (line) => said.push(line));

/** Writes worker.json of a worker that has ended. */
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

/** A workflow without a worker counts as running. */
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

test('uses the old torch while a study runs, and the new one afterwards', async () => {
  const [old, installed] = [python('2.15.0'), python('2.16.0')];
  await lastWorker(old, '2.15.0');
  await study(async () => {
    expect(await choose(installed)).toBe(old);
    expect(said).toEqual([
      expect.stringMatching(/study-nov21 runs with torch 2\.15\.0 .* switches to torch 2\.16\.0/u),
    ]);
    // Another package of the lock, and the same torch.
    const same = python('2.15.0');
    expect(await choose(same)).toBe(same);
    // A worker that did not record its torch.
    await lastWorker(old, null);
    expect(await choose(installed)).toBe(old);
  });
  expect(await choose(installed)).toBe(installed);
});

test('refuses if the old torch is gone, was replaced, or AUTORESEARCH_PYTHON names another', async () => {
  const [old, installed] = [python('2.15.0'), python('2.16.0')];
  const refused = { name: 'TakeoverRefused', todo: expect.stringContaining('AUTORESEARCH_PYTHON') };
  await study(async () => {
    await lastWorker(installed, '2.15.0');
    await expect(choose(installed)).rejects.toMatchObject(refused);
    await lastWorker(old, '2.15.0');
    process.env['AUTORESEARCH_PYTHON'] = installed;
    await expect(choose(installed)).rejects.toMatchObject(refused);
    delete process.env['AUTORESEARCH_PYTHON'];
    rmSync(old);
    await expect(choose(installed)).rejects.toMatchObject({
      ...refused,
      message: expect.stringMatching(
        /study-nov21 runs with torch 2\.15\.0.*cannot continue with torch 2\.16\.0/u,
      ),
    });
  });
});
