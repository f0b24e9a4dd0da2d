import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { MockActivityEnvironment } from '@temporalio/testing';
import { createEndWork } from '../../src/activities/end-work';
import { holderOf } from '../../src/process/detach';
import { listed } from '../../src/process/listed';
import { studyState } from '../../src/process/paths';
import { deviceLock } from '../../src/runner/device-lock';
import { takeDown } from '../../src/host/down';
import { CANDIDATE, pidsOf, Workshop } from '../runner/workshop';
import { until } from '../workflows/world';
import { rehearse as rehearseIn, STUDY } from './rehearsing';

jest.setTimeout(180_000);

let workshop: Workshop;
beforeAll(() => {
  workshop = new Workshop();
});
afterAll(() => workshop.close());

const rehearse = (candidate: string[], signal?: AbortSignal) => rehearseIn(workshop, candidate, signal);
/** What is left of rehearsals. */
const left = (): string[] => readdirSync(join(studyState(STUDY.labId, STUDY.tag), 'proposals', '0001'));
const candidates = (kind: string): number[] => pidsOf(`candidate.py ${kind}`, CANDIDATE);

/** In a process of its own, until its candidate has begun. */
async function rehearsing(kind: string): Promise<ChildProcess> {
  const { runner, tree, data } = workshop;
  const values = JSON.stringify([{ runner, tree, data }, [kind]]);
  const worker = fork(
    join(__dirname, '..', 'lab', 'child.js'),
    [join(__dirname, 'rehearsing.ts'), 'rehearse', values],
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

test('a candidate that starts, takes its step and hands in has nothing to mend, and leaves nothing', async () => {
  expect(await rehearse(['happy'])).toBeNull();
  expect(left()).toEqual([]);
});

test('none of it is data', async () => {
  expect(await rehearse(['refuses_data'])).toBeNull();
});

test('what fails before its first step is told with the end of its traceback', async () => {
  const objection = await rehearse(['crash']);
  expect(objection).toMatchObject({ kind: 'startup', message: expect.stringContaining('Traceback') });
});

test('ended with whoever asked for it', async () => {
  const stop = new AbortController();
  const asked = rehearse(['silent'], stop.signal);
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
  await kill(await rehearsing('silent'));
  expect(candidates('silent')).toHaveLength(1);
  const before = performance.now();
  expect(await rehearse(['crash'])).toMatchObject({ kind: 'startup' });
  // The lost one would have held it for 90 s.
  expect(performance.now() - before).toBeLessThan(60_000);
  expect(candidates('silent')).toEqual([]);
  expect(await holderOf(await deviceLock('cpu'))).toBeNull();
  expect(await listed()).toEqual([]);
});

test('an attempt that hears late that it was replaced leaves the next one its rehearsal', async () => {
  const stale = new AbortController();
  const first = rehearse(['silent'], stale.signal);
  first.catch(() => undefined);
  await until(
    () => candidates('silent'),
    ({ length }) => length > 0,
    30,
  );
  const second = rehearse(['held', 'go']);
  await until(
    () => candidates('held'),
    ({ length }) => length > 0,
    30,
  );
  stale.abort();
  // It was ended by the next one, or by whoever had asked for it: no word about the candidate either way.
  await expect(first).rejects.toThrow(/ended from outside|aborted/);
  expect((await listed()).map(({ name }) => name)).toEqual(['nov21/0001 rehearsal']);
  const folder = left().find((name) => /^rehearsal-\w+$/.test(name)) ?? '';
  writeFileSync(join(studyState(STUDY.labId, STUDY.tag), 'proposals', '0001', folder, 'tree', 'go'), '');
  expect(await second).toBeNull();
});

test('one that has lost its worker is ended when its experiment was cancelled', async () => {
  await kill(await rehearsing('silent'));
  await new MockActivityEnvironment().run(createEndWork(), { study: STUDY, experiment: 1 });
  expect(candidates('silent')).toEqual([]);
  expect(await listed()).toEqual([]);
});

test('one that has lost its worker is ended by `down`', async () => {
  await kill(await rehearsing('silent'));
  expect(await takeDown(() => undefined)).toMatchObject({ work: ['nov21/0001 rehearsal'] });
  expect(candidates('silent')).toEqual([]);
});
