import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { MockActivityEnvironment } from '@temporalio/testing';
import { createEndWork } from '../../src/activities/end-work';
import { holderOf } from '../../src/process/detach';
import { registered } from '../../src/process/register';
import { studyState } from '../../src/process/paths';
import { deviceLock } from '../../src/runner/device-lock';
import { takeDown } from '../../src/host/down';
import { CANDIDATE, pidsOf, Workshop } from '../runner/workshop';
import { until } from '../workflows/world';
import { smokeTest as smokeTestIn, STUDY } from './run-smoke-test';

jest.setTimeout(180_000);

let workshop: Workshop;
beforeAll(() => {
  workshop = new Workshop();
});
afterAll(() => workshop.close());

const smokeTest = (candidate: string[], signal?: AbortSignal) => smokeTestIn(workshop, candidate, signal);
/** What is left of smoke tests. */
const left = (): string[] => readdirSync(join(studyState(STUDY.labId, STUDY.tag), 'proposals', '0001'));
const candidates = (kind: string): number[] => pidsOf(`candidate.py ${kind}`, CANDIDATE);

/** In a process of its own, until its candidate has begun. */
async function smokeTesting(kind: string): Promise<ChildProcess> {
  const { runner, tree, data } = workshop;
  const values = JSON.stringify([{ runner, tree, data }, [kind]]);
  const worker = fork(
    join(__dirname, '..', 'lab', 'child.js'),
    [join(__dirname, 'run-smoke-test.ts'), 'smokeTest', values],
    // Not by itself: jest's own environment is a copy.
    { env: process.env },
  );
  await until(
    () => candidates(kind),
    ({ length }) => length > 0,
    30,
  );
  return worker;
}

async function kill(worker: ChildProcess): Promise<void> {
  worker.kill('SIGKILL');
  await once(worker, 'exit');
}

test('a candidate that starts, takes its step and submits has no fault, and leaves nothing', async () => {
  expect(await smokeTest(['happy'])).toBeNull();
  expect(left()).toEqual([]);
});

test('none of it is data', async () => {
  expect(await smokeTest(['refuses_data'])).toBeNull();
});

test('what fails before its first step is told with the end of its traceback', async () => {
  const objection = await smokeTest(['crash']);
  expect(objection).toMatchObject({ kind: 'startup', message: expect.stringContaining('Traceback') });
});

test('ended with whoever asked for it', async () => {
  const stop = new AbortController();
  const asked = smokeTest(['silent'], stop.signal);
  await until(
    () => candidates('silent'),
    ({ length }) => length > 0,
    30,
  );
  stop.abort();
  await expect(asked).rejects.toThrow('aborted');
  expect(candidates('silent')).toEqual([]);
  expect(left()).toEqual([]);
});

test('one that has lost its worker is ended by the next, which has the device at once', async () => {
  await kill(await smokeTesting('silent'));
  expect(candidates('silent')).toHaveLength(1);
  const before = performance.now();
  expect(await smokeTest(['crash'])).toMatchObject({ kind: 'startup' });
  // The lost one would have held it for 90 s.
  expect(performance.now() - before).toBeLessThan(60_000);
  expect(candidates('silent')).toEqual([]);
  expect(await holderOf(await deviceLock('cpu'))).toBeNull();
  expect(await registered()).toEqual([]);
});

test('an attempt that hears late that it was replaced leaves the next one its smoke test', async () => {
  const stale = new AbortController();
  const first = smokeTest(['silent'], stale.signal);
  first.catch(() => undefined);
  await until(
    () => candidates('silent'),
    ({ length }) => length > 0,
    30,
  );
  const second = smokeTest(['held', 'go']);
  await until(
    () => candidates('held'),
    ({ length }) => length > 0,
    30,
  );
  stale.abort();
  // It was ended by the next one, or by whoever had asked for it: no word about the candidate either way.
  await expect(first).rejects.toThrow(/ended from outside|aborted/);
  expect((await registered()).map(({ name }) => name)).toEqual(['nov21/0001 smoke test']);
  const folder = left().find((name) => /^smoke-test-\w+$/.test(name)) ?? '';
  writeFileSync(join(studyState(STUDY.labId, STUDY.tag), 'proposals', '0001', folder, 'tree', 'go'), '');
  expect(await second).toBeNull();
});

test('one that has lost its worker is ended when its experiment was cancelled', async () => {
  await kill(await smokeTesting('silent'));
  await new MockActivityEnvironment().run(createEndWork(), { study: STUDY, experiment: 1 });
  expect(candidates('silent')).toEqual([]);
  expect(await registered()).toEqual([]);
});

test('one that has lost its worker is ended by `down`', async () => {
  await kill(await smokeTesting('silent'));
  expect(await takeDown(() => undefined)).toMatchObject({ work: ['nov21/0001 smoke test'] });
  expect(candidates('silent')).toEqual([]);
});
