/**
 * SIGTERM to the worker, as a deploy sends it: it is gone within 5 s whatever it was at, no run is touched, and the next worker
 * brings the study to the same end. A small lab of the chaos suite, with everything else real.
 */
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ExperimentRecord } from '../../src/domain/experiment';
import { isAlive, type Owner } from '../../src/process/owner';
import { asset } from '../../src/process/package-root';
import { taskStatusSchema } from '../../src/runner/task';
import { until } from '../workflows/world';
import { Service, type StatusAnswer } from './service';

jest.setTimeout(300_000);
const TAG = 'shutdown';
const GONE_MS = 5_000;
let service: Service;
let worker: Owner;

beforeAll(async () => {
  service = await Service.create();
  makeLab();
  worker = (await service.up()).worker.owner;
});
afterAll(() => service.remove());

const inLab = (...path: string[]) => join(service.lab(), ...path);
const git = (...args: string[]): string =>
  execFileSync('git', ['-c', 'user.name=user', '-c', 'user.email=user@localhost', ...args], {
    cwd: service.lab(),
    encoding: 'utf8',
  });

/** The chaos suite's, slowed where somebody has to be caught at work, and a researcher that ends by SIGKILL only
 * and leaves behind what nobody finds, with its output open. */
function makeLab(): void {
  cpSync(asset('test', 'chaos', 'lab'), service.lab(), { recursive: true });
  change('prepare.py', 'SECONDS = 0.5', 'SECONDS = 8');
  change('train.py', 'SCORE_SECONDS = 0.4', 'SCORE_SECONDS = 8');
  writeFileSync(
    join(service.root, 'research.sh'),
    `[ -e ${service.root}/quick ] || { trap '' TERM; echo asked >> ${service.root}/asked; setsid sleep 60 & sleep 60; }
     echo 'CHANGED = True' >> train.py\n`,
  );
  git('init', '--quiet', '--initial-branch=main');
  git('add', '--all');
  git('commit', '--quiet', '--message', 'Begin');
}

function change(file: string, from: string, to: string): void {
  const text = readFileSync(inLab(file), 'utf8');
  expect(text).toContain(from);
  writeFileSync(inLab(file), text.replace(from, to));
}

const reached = (satisfies: (status: StatusAnswer) => boolean): Promise<StatusAnswer> =>
  until(() => service.status(TAG), satisfies, 60);
const at = (name: string, phase: string | null) =>
  reached(
    ({ current }) =>
      current?.activity?.name === name && (phase === null || current.activity.progress?.phase === phase),
  );

/** Asks the worker to go, and gives the seconds until it has gone. */
async function terminateWorker(): Promise<number> {
  const from = performance.now();
  process.kill(worker.pid, 'SIGTERM');
  while (isAlive(worker) && performance.now() - from < 20_000) await sleep(20);
  return (performance.now() - from) / 1000;
}

async function nextWorker(): Promise<void> {
  worker = (await service.up()).worker.owner;
}

/** Owners of an experiment's tasks of one kind, one an attempt. */
function owners(experiment: string, kind: string): Owner[] {
  const labs = join(service.root, 'state', 'autoresearch', 'labs');
  const [labId = ''] = readdirSync(labs);
  const run = join(labs, labId, TAG, 'runs', experiment, '1');
  return readdirSync(run)
    .filter((name) => name.startsWith(`${kind}-`))
    .map(
      (name) =>
        taskStatusSchema.parse(JSON.parse(readFileSync(join(run, name, 'status.json'), 'utf8'))).owner,
    );
}

test('while the data is prepared', async () => {
  const command = `sh ${service.root}/research.sh`;
  await service.ask(
    'start',
    '--lab',
    service.lab(),
    '--tag',
    TAG,
    '--researcher',
    'command',
    '--command',
    command,
    '--train-steps',
    '250',
    '--experiments',
    '2',
  );
  await sleep(1500);
  expect(await terminateWorker()).toBeLessThan(GONE_MS / 1000);
  await nextWorker();
});

test('in a training, which goes on', async () => {
  await at('train', 'training');
  const [runner] = owners('0000', 'train');
  expect(await terminateWorker()).toBeLessThan(GONE_MS / 1000);
  expect(isAlive(runner!)).toBe(true);
  await nextWorker();
});

test('in a scoring, which goes on', async () => {
  await at('evaluate', 'scoring');
  const [scorer] = owners('0000', 'score');
  expect(await terminateWorker()).toBeLessThan(GONE_MS / 1000);
  expect(isAlive(scorer!)).toBe(true);
  await nextWorker();
});

test('while a researcher thinks that does not listen; it is asked again', async () => {
  await at('propose', null);
  await until(() => existsSync(join(service.root, 'asked')), Boolean);
  expect(await terminateWorker()).toBeLessThan(GONE_MS / 1000);
  writeFileSync(join(service.root, 'quick'), '');
  await nextWorker();
});

test('while a record waits for a lock in git', async () => {
  await at('evaluate', 'scoring');
  const lock = inLab('.git', 'refs', 'heads', 'autoresearch-ledger', `${TAG}.lock`);
  writeFileSync(lock, '');
  await at('record', null);
  await sleep(1000);
  expect(await terminateWorker()).toBeLessThan(GONE_MS / 1000);
  rmSync(lock, { force: true });
  await nextWorker();
});

test('nothing was done twice, and all of it agrees', async () => {
  await reached(({ study }) => study.phase === 'paused' && study.spent.experiments === 2);
  const { experiments } = await service.ask<{ experiments: ExperimentRecord[] }>('history', TAG);
  expect(experiments.map(({ number, runs }) => [number, runs.map(({ attempts }) => attempts)])).toEqual([
    [0, [1]],
    [1, [1]],
  ]);
  for (const { number } of experiments) {
    for (const kind of ['train', 'score']) expect(owners(`000${number}`, kind)).toHaveLength(1);
  }
  expect(await service.ask('verify', TAG)).toMatchObject({ agrees: true });
});
