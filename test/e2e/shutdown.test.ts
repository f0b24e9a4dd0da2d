/**
 * SIGTERM to the worker, as a deploy sends it: it is gone soon whatever it was at, no run is touched, and the next worker
 * brings the study to the same end. A small lab of the chaos suite, with everything else real; whatever the worker is at lasts
 * until it is let go.
 */
import { execFileSync, spawn } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ExperimentRecord } from '../../src/domain/experiment';
import { isAlive, type Owner } from '../../src/process/owner';
import { asset } from '../../src/process/package-root';
import { until } from '../workflows/world';
import { attempts } from './attempts';
import { Service, type StatusAnswer } from './service';

jest.setTimeout(600_000);
const TAG = 'shutdown';
/** It is at most 5 on a machine of its own; what the worker is at takes longer. */
const GONE_SECONDS = 10;
let service: Service;
let worker: Owner;
/** Of experiment 0. */
let [runner, scorer]: (Owner | undefined)[] = [];

beforeAll(async () => {
  service = await Service.create();
  mkdirSync(inAgent());
  // A command may write what its user declares; the installation's own folders are not for it.
  service.env['AUTORESEARCH_AGENT_WRITES'] = inAgent();
  makeLab();
  worker = (await service.up()).worker.owner;
});
afterAll(async () => {
  // In the cache that all share, and never to be found again.
  const data = existsSync(inRoot('preparing')) ? readFileSync(inRoot('preparing'), 'utf8') : null;
  await service.remove();
  if (data === null) return;
  for (const left of ['', '.log', '.lock', '.exit'])
    rmSync(`${data}${left}`, { recursive: true, force: true });
});

const inRoot = (name: string) => join(service.root, name);
const inAgent = (...path: string[]) => join(service.root, 'agent', ...path);
const inLab = (...path: string[]) => join(service.lab(), ...path);
const git = (...args: string[]): string =>
  execFileSync('git', ['-c', 'user.name=user', '-c', 'user.email=user@localhost', ...args], {
    cwd: service.lab(),
    encoding: 'utf8',
  });

/** The chaos suite's, held where somebody has to be caught at work, and a researcher that ends by SIGKILL only
 * and leaves behind what nobody finds, with its output open. */
function makeLab(): void {
  cpSync(asset('test', 'chaos', 'lab'), service.lab(), { recursive: true });
  change(
    'prepare.py',
    '    time.sleep(SECONDS)\n',
    `    with open("${inRoot('preparing')}", "w") as file:\n` +
      `        file.write(out)\n` +
      `    while not os.path.exists("${inRoot('prepared')}"):\n        time.sleep(0.05)\n`,
  );
  change('train.py', 'HELD = False', 'HELD = True');
  change(
    'score.py',
    '    time.sleep(seconds)\n',
    '    go = os.path.join(os.path.dirname(argument("--out")), "go")\n' +
      '    while not os.path.exists(go):\n        time.sleep(0.05)\n',
  );
  writeFileSync(
    inAgent('research.sh'),
    `[ -e ${inAgent('quick')} ] || { trap '' TERM; echo asked >> ${inAgent('asked')}; setsid sleep 60 & sleep 600; }
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
  until(() => service.status(TAG), satisfies, 180);
const at = (name: string, phase: string | null) =>
  reached(
    ({ current }) =>
      current?.activity?.name === name && (phase === null || current.activity.progress?.phase === phase),
  );

/** Asks the worker to go, and gives the seconds until it has gone. */
async function terminateWorker(): Promise<number> {
  const from = performance.now();
  process.kill(worker.pid, 'SIGTERM');
  while (isAlive(worker) && performance.now() - from < 60_000) await sleep(20);
  return (performance.now() - from) / 1000;
}

async function nextWorker(): Promise<void> {
  worker = (await service.up()).worker.owner;
}

/** Each attempt's, of one kind. */
const owners = (number: number, kind: 'train' | 'score'): (Owner | undefined)[] =>
  attempts(service, TAG, number, kind).map(({ status }) => status?.owner);

function letGo(number: number, kind: 'train' | 'score'): void {
  for (const { folder } of attempts(service, TAG, number, kind))
    mkdirSync(join(folder, kind === 'train' ? 'tree' : 'out', 'go'), { recursive: true });
}

test('while the data is prepared', async () => {
  const command = `sh ${inAgent('research.sh')}`;
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
    '50',
    '--experiments',
    '2',
  );
  await until(() => existsSync(inRoot('preparing')), Boolean);
  expect(await terminateWorker()).toBeLessThan(GONE_SECONDS);
  await nextWorker();
  writeFileSync(inRoot('prepared'), '');
});

test('in a training, which goes on', async () => {
  await at('train', 'training');
  [runner] = owners(0, 'train');
  expect(await terminateWorker()).toBeLessThan(GONE_SECONDS);
  expect(isAlive(runner!)).toBe(true);
  letGo(0, 'train');
  await nextWorker();
});

test('in a scoring, which goes on', async () => {
  await at('evaluate', 'scoring');
  [scorer] = owners(0, 'score');
  expect(await terminateWorker()).toBeLessThan(GONE_SECONDS);
  expect(isAlive(scorer!)).toBe(true);
  letGo(0, 'score');
  await nextWorker();
});

test('while a researcher thinks that does not listen; it is asked again', async () => {
  await at('propose', null);
  await until(() => existsSync(inAgent('asked')), Boolean);
  expect(await terminateWorker()).toBeLessThan(GONE_SECONDS);
  writeFileSync(inAgent('quick'), '');
  await nextWorker();
});

test('while a record waits for a lock in git', async () => {
  await at('train', 'training');
  letGo(1, 'train');
  await at('evaluate', 'scoring');
  const lock = inLab('.git', 'refs', 'heads', 'autoresearch-ledger', `${TAG}.lock`);
  writeFileSync(lock, '');
  // While a git is at work here the lock is taken for one that somebody holds, however old it is.
  const holder = spawn('git', ['cat-file', '--batch'], {
    cwd: service.lab(),
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  letGo(1, 'score');
  await at('record', null);
  await sleep(1000);
  expect(await terminateWorker()).toBeLessThan(GONE_SECONDS);
  rmSync(lock);
  holder.kill();
  await nextWorker();
});

test('nothing was done twice, and all of it agrees', async () => {
  await reached(({ study }) => study.phase === 'paused' && study.spent.experiments === 2);
  const { experiments } = await service.ask<{ experiments: ExperimentRecord[] }>('history', TAG);
  expect(experiments.map(({ number, runs }) => [number, runs.map((run) => run.attempts)])).toEqual([
    [0, [1]],
    [1, [1]],
  ]);
  for (const { number } of experiments) {
    for (const kind of ['train', 'score'] as const)
      expect(attempts(service, TAG, number, kind)).toEqual([expect.objectContaining({ starts: 1 })]);
  }
  expect([...owners(0, 'train'), ...owners(0, 'score')]).toEqual([runner, scorer]);
  expect(await service.ask('verify', TAG)).toMatchObject({ agrees: true });
});
