/**
 * Damaged files by which our processes find each other: server.json, worker.json, a lock's holder, a run's status.json and
 * spec.json. Each reader accepts a valid file, and treats any other as absent or reports it with a remedy.
 */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import * as fc from 'fast-check';
import { statusOf } from '../../src/runs/attempts';
import { taskLogs } from '../../src/studies/task-logs';
import { holderOf, launch } from '../../src/process/detach';
import { JsonFileError, readJson } from '../../src/process/json-file';
import { goneWithin, isAlive, ownerOf } from '../../src/process/owner';
import { studyState } from '../../src/process/paths';
import { queuedStatus } from '../../src/runner/status-file';
import { taskSpecSchema, taskStatusSchema } from '../../src/runner/task';
import { readServerInfo, runningServer, serverInfoFile } from '../../src/temporal/server-info';
import { readWorkerInfo, workerInfoFile, type WorkerInfo } from '../../src/temporal/worker-info';
import { runningWorker } from '../../src/host/worker-process';
import { damages } from '../damages';
import { makeStudy } from '../labs/make-lab';

const stateBefore = process.env['XDG_STATE_HOME'];
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'damaged-'));
  process.env['XDG_STATE_HOME'] = join(folder, 'state');
});
afterAll(() => {
  if (stateBefore === undefined) delete process.env['XDG_STATE_HOME'];
  else process.env['XDG_STATE_HOME'] = stateBefore;
  rmSync(folder, { recursive: true, force: true });
});

const self = ownerOf(process.pid)!;
const status = { ...queuedStatus(), owner: self, phase: 'training' as const };
const server = {
  format: 1,
  owner: self,
  address: '127.0.0.1:7233',
  ui: 'http://127.0.0.1:8233',
  version: '1',
};
const worker: WorkerInfo = {
  format: 2,
  owner: self,
  build: 'b',
  address: '127.0.0.1:7233',
  namespace: 'default',
  credentials: '00000000',
  queues: ['q'],
  devices: ['cpu'],
  python: '/usr/bin/python3',
  torch: null,
  has: { anthropicKey: false, variables: {}, codecKeys: [] },
  startedAt: '2026-11-21T00:00:00.000Z',
  isEnding: false,
};
const spec = {
  kind: 'score',
  format: 1,
  name: 'nov21/0001 run 1',
  tree: '/tree',
  data: '/data',
  python: '/usr/bin/python3',
  device: 'cpu',
  command: ['true'],
  blobs: {},
  submission: '/submission',
  logBytes: 1,
  scratchBytes: 1,
  spentSeconds: 0,
  scoreSeconds: 1,
};

/** Writes `value` with a damage applied; null removes the file. */
function write(path: string, text: string | null): void {
  mkdirSync(dirname(path), { recursive: true });
  rmSync(path, { force: true });
  if (text !== null) writeFileSync(path, text);
}

/** `holds` must be true for every damage; fails with what was found. */
async function exception(
  path: () => string,
  value: object,
  holds: () => Promise<boolean>,
  numRuns = 300,
): Promise<string | null> {
  const text = JSON.stringify(value, null, 2);
  const damaged = fc.asyncProperty(damages, async (damage) => {
    write(path(), damage(text));
    return holds();
  });
  return (await fc.asyncDefaultReportMessage(await fc.check(damaged, { numRuns }))) ?? null;
}

/** @returns whether it was started */
async function launched(content: object, file: string): Promise<boolean> {
  const owner = await launch({
    command: ['true'],
    cwd: folder,
    env: process.env,
    log: join(folder, 'log'),
    lock: join(folder, 'launched.lock'),
    name: 'test',
    queued: { file, content },
  });
  if (owner === null) return false;
  await goneWithin(owner, 10_000);
  return true;
}
const held = (file: string): string => (existsSync(file) ? readFileSync(file, 'utf8') : '');

test('finds each undamaged file', async () => {
  write(serverInfoFile(), JSON.stringify(server));
  write(workerInfoFile(), JSON.stringify(worker));
  expect(await runningServer()).toEqual(server);
  expect(await runningWorker()).toEqual(worker);
});

test('reads server.json if it is valid, else nothing', async () => {
  expect(
    await exception(serverInfoFile, server, async () => {
      const found = await readServerInfo();
      const running = await runningServer();
      return found !== null && isAlive(found.owner) ? isDeepStrictEqual(running, found) : running === null;
    }),
  ).toBeNull();
});

test('reads worker.json if it is valid, else nothing', async () => {
  expect(
    await exception(workerInfoFile, worker, async () => {
      const found = await readWorkerInfo();
      const running = await runningWorker();
      const works = found !== null && isAlive(found.owner) && !found.isEnding;
      return works ? isDeepStrictEqual(running, found) : running === null;
    }),
  ).toBeNull();
});

test("reads a lock's holder only if that process is alive", async () => {
  const lock = join(folder, 'lock');
  const holder = { ...self, name: 'test' };
  expect(
    await exception(
      () => lock,
      holder,
      async () => {
        const found = await holderOf(lock);
        return (
          found === null || isAlive({ pid: found.pid, startTime: found.startTime, bootId: found.bootId })
        );
      },
    ),
  ).toBeNull();
});

test('worker and `logs` read status.json of a run if it is valid, else nothing', async () => {
  const study = makeStudy(folder, 'b'.repeat(40), 'nov21');
  const run = () => join(studyState(study.labId, study.tag), 'runs', '0001', '1', 'train-1');
  expect(
    await exception(
      () => join(run(), 'status.json'),
      status,
      async () => {
        const found = await statusOf(run());
        const [log] = await taskLogs(study, 1);
        return (
          (found === null || taskStatusSchema.safeParse(found).success) &&
          isDeepStrictEqual(log?.status, found)
        );
      },
    ),
  ).toBeNull();
});

test('a runner reads spec.json if it is valid, else names the file and the remedy', async () => {
  const path = join(folder, 'spec.json');
  expect(
    await exception(
      () => path,
      spec,
      () =>
        readJson(path, taskSpecSchema).then(
          (found) => found === null || found.format === 1,
          (error: unknown) =>
            error instanceof JsonFileError && /^.*spec\.json[^]*move it away/u.test(error.message),
        ),
    ),
  ).toBeNull();
});

describe('a process launched beside a damaged file', () => {
  test('a damaged server.json never prevents the start of the server', async () => {
    const file = join(folder, 'server.json');
    const { owner: _owner, ...content } = server;
    expect(
      await exception(
        () => file,
        server,
        async () => (await launched(content, file)) && JSON.parse(held(file)).version === server.version,
        40,
      ),
    ).toBeNull();
  }, 60_000);

  test('with a damaged status.json the run begins, or has begun and is left alone', async () => {
    const file = join(folder, 'status.json');
    expect(
      await exception(
        () => file,
        status,
        async () => {
          const before = held(file);
          return (await launched(queuedStatus(), file))
            ? taskStatusSchema.parse(JSON.parse(held(file))).phase === 'queued'
            : held(file) === before;
        },
        40,
      ),
    ).toBeNull();
  }, 60_000);

  test.each([
    ['a list', '[]'],
    ['a number', '3'],
    ['a text', '"done"'],
    ['nothing', 'null'],
    ['a list in a list in a list, for ever', '['.repeat(100_000)],
  ])('a status.json that holds %s is none', async (_what, text) => {
    const file = join(folder, 'status.json');
    write(file, text);
    expect(await launched(queuedStatus(), file)).toBe(true);
  });
});
