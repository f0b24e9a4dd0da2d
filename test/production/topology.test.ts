/** PostgreSQL, Temporal's server and our worker, as docker-compose.yml puts them together. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Service } from '../e2e/service';
import { done, letGo, outcome, startTiny, trainerOf, trains, whole } from './tiny';
import { Topology } from './topology';

jest.setTimeout(400_000);
const TAG = 'pg';
let topology: Topology;
let service: Service;

beforeAll(async () => {
  topology = await Topology.create();
  await topology.startServer();
  service = await Service.create();
  Object.assign(service.env, {
    TEMPORAL_ADDRESS: topology.address,
    TEMPORAL_NAMESPACE: 'autoresearch',
    AUTORESEARCH_DEVICES: 'cpu',
  });
});
afterAll(async () => {
  await service?.remove();
  await topology?.remove();
});

test('creates a missing namespace on request, with all that studies need', async () => {
  const refused = await service.run('up');
  expect([refused.code, refused.stderr]).toEqual([4, expect.stringContaining('up --create-namespace')]);
  const ready = await service.ask<{ server: { state: string; warnings: string[] } }>(
    'up',
    '--create-namespace',
  );
  expect(ready.server).toMatchObject({ state: 'named', warnings: [] });
  const { checks } = await service.ask<{ checks: { name: string; state: string; found: string }[] }>(
    'doctor',
  );
  expect(checks.filter(({ name }) => /namespace|search attributes/u.test(name))).toEqual([
    expect.objectContaining({ state: 'ok', found: expect.stringContaining('90 days') }),
    expect.objectContaining({ state: 'ok' }),
  ]);
});

test('run and study continue after the server is killed in the middle of a run', async () => {
  await startTiny(service, TAG, { experiments: 3, held: [1] });
  const runner = await trains(service, TAG, 1);
  await topology.killServer();
  await sleep(3_000);
  await topology.startServer();
  letGo(service, TAG, 1);
  expect(await outcome(service, TAG, 3)).toEqual(whole(3));
  expect(trainerOf(service, TAG, 1)).toEqual(runner);
});

test('the schema job changes nothing on a database in use', async () => {
  const before = topology.dump('temporal').match(/COPY public\.schema_version[^]*?\\\./u)?.[0];
  await topology.setUpSchema();
  expect(topology.dump('temporal').match(/COPY public\.schema_version[^]*?\\\./u)?.[0]).toBe(before);
  await service.ask('budget', TAG, '--experiments', '4');
  expect(await done(service, TAG, 4)).toHaveLength(4);
});
