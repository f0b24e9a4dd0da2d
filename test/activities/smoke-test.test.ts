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
/** Files that smoke tests have left. */
const left = (): string[] => readdirSync(join(studyState(STUDY.labId, STUDY.tag), 'proposals', '0001'));
/** Other files' candidates run at the same time. */
const MARKER = `smoke-${process.pid}`;
const candidates = (kind: string): number[] => pidsOf(`candidate.py ${kind} ${MARKER}`, CANDIDATE);

/** Starts a smoke test in its own process and waits until the candidate runs. */
async function startSmokeTest(kind: string): Promise<ChildProcess> {
  const { runner, tree, data } = workshop;
  const values = JSON.stringify([{ runner, tree, data }, [kind, MARKER]]);
  const worker = fork(
    join(__dirname, '..', 'ledger', 'child.js'),
    [join(__dirname, 'run-smoke-test.ts'), 'smokeTest', values],
    // Explicitly, since jest's environment is a copy.
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

test('a candidate that starts, takes a step and submits gets no objection, and no files remain', async () => {
  expect(await smokeTest(['happy'])).toBeNull();
  expect(left()).toEqual([]);
});

test('the smoke test has no real data', async () => {
  expect(await smokeTest(['refuses_data'])).toBeNull();
});

test('a failure before the first step is an objection with the end of the traceback', async () => {
  const objection = await smokeTest(['crash']);
  expect(objection).toMatchObject({ kind: 'startup', message: expect.stringContaining('Traceback') });
});

test('aborting the proposal ends the smoke test', async () => {
  const stop = new AbortController();
  const asked = smokeTest(['silent', MARKER], stop.signal);
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

test('the next smoke test ends one that has lost its worker, and gets the device at once', async () => {
  await kill(await startSmokeTest('silent'));
  expect(candidates('silent')).toHaveLength(1);
  const before = performance.now();
  expect(await smokeTest(['crash'])).toMatchObject({ kind: 'startup' });
  // The lost smoke test would have held the device for 90 s.
  expect(performance.now() - before).toBeLessThan(60_000);
  expect(candidates('silent')).toEqual([]);
  expect(await holderOf(await deviceLock('cpu'))).toBeNull();
  expect(await registered()).toEqual([]);
});

test('a replaced attempt that still runs leaves the next smoke test alone', async () => {
  const stale = new AbortController();
  const first = smokeTest(['silent', MARKER], stale.signal);
  first.catch(() => undefined);
  await until(
    () => candidates('silent'),
    ({ length }) => length > 0,
    30,
  );
  const second = smokeTest(['held', 'go', MARKER]);
  await until(
    () => candidates('held go'),
    ({ length }) => length > 0,
    30,
  );
  stale.abort();
  // The next attempt or the caller ended it: it says nothing about the candidate.
  await expect(first).rejects.toThrow(/killed from outside|aborted/);
  expect((await registered()).map(({ name }) => name)).toEqual(['nov21/0001 smoke test']);
  const folder = left().find((name) => /^smoke-test-\w+$/.test(name)) ?? '';
  writeFileSync(join(studyState(STUDY.labId, STUDY.tag), 'proposals', '0001', folder, 'tree', 'go'), '');
  expect(await second).toBeNull();
});

test('a smoke test that has lost its worker is ended when its experiment was cancelled', async () => {
  await kill(await startSmokeTest('silent'));
  await new MockActivityEnvironment().run(createEndWork(), { study: STUDY, experiment: 1 });
  expect(candidates('silent')).toEqual([]);
  expect(await registered()).toEqual([]);
});

test('a smoke test that has lost its worker is ended by `down`', async () => {
  await kill(await startSmokeTest('silent'));
  expect(await takeDown(() => undefined)).toMatchObject({ work: ['nov21/0001 smoke test'] });
  expect(candidates('silent')).toEqual([]);
});
