/** One study of the default lab, with everything real: server, worker, git, sandbox, training and scoring. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import type { ExperimentRecord } from '../../src/domain/experiment';
import { runSeed } from '../../src/domain/seed';
import { isAlive, type Owner } from '../../src/process/owner';
import type { TaskStatus } from '../../src/runner/task';
import { until } from '../workflows/world';
import { attempts } from './attempts';
import { family } from './family';
import { Service, type StatusAnswer } from './service';

jest.setTimeout(900_000);
const TAG = 'e2e';
const STEPS = 12;
let service: Service;

beforeAll(async () => {
  service = await Service.create();
});
afterAll(() => service.remove());

const git = (...args: string[]): string =>
  execFileSync('git', args, { cwd: service.lab(), encoding: 'utf8' }).trim();
const history = async (): Promise<ExperimentRecord[]> =>
  (await service.ask<{ experiments: ExperimentRecord[] }>('history', TAG)).experiments;
const reached = (satisfies: (status: StatusAnswer) => boolean): Promise<StatusAnswer> =>
  until(() => service.status(TAG), satisfies, 300);
const limitReached = (count: number): Promise<StatusAnswer> =>
  reached(({ study }) => study.phase === 'paused' && study.spent.experiments === count);

/** Status of the trainings of an experiment, one an attempt. */
const trainings = (number: number): TaskStatus[] =>
  attempts(service, TAG, number, 'train').flatMap(({ status }) => status ?? []);

/** The training of an experiment that is about to begin, once its candidate is at work; its submission is far away then. */
async function begun(experiment: number): Promise<{ runner: Owner; candidate: Owner }> {
  const find = () => {
    const runner = trainings(experiment).at(-1)?.owner;
    const processes = runner === undefined ? [] : family(runner.pid);
    const candidate = processes.find(({ pid }) => /^\S*python\S* train\.py/u.test(commandLine(pid)));
    return runner === undefined || candidate === undefined ? null : { runner, candidate };
  };
  return (await until(find, (found) => found !== null, 300))!;
}

/** Empty when it has gone since. */
function commandLine(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
  } catch {
    return '';
  }
}

test('a study trains, scores, keeps or resets, and waits at its limit', async () => {
  await service.up();
  await service.ask('init', service.lab());
  await service.ask(
    'start',
    '--lab',
    service.lab(),
    '--tag',
    TAG,
    '--train-steps',
    String(STEPS),
    '--experiments',
    '2',
  );
  await limitReached(2);
  const experiments = await history();
  expect(experiments.map(({ number, verdict }) => [number, verdict])).toEqual([
    [0, 'keep'],
    [1, expect.stringMatching(/keep|discard/)],
  ]);
  for (const { number, runs, score } of experiments) {
    expect(runs).toHaveLength(1);
    expect(runs[0]).toMatchObject({
      seed: runSeed(TAG, number, 1),
      metrics: { steps: STEPS },
      attempts: 1,
      failure: null,
    });
    // Untrained, a byte costs about as much as the logarithm of the vocabulary over the bytes of a token.
    expect(score).toBeGreaterThan(1);
    expect(score).toBeLessThan(6);
  }
  expect(new Set(experiments.map(({ runs }) => runs[0]?.initialWeights)).size).toBe(2);
});

test('a worker that is killed in the middle of a run: same experiment, same seed, one row, no second training', async () => {
  await service.ask('budget', TAG, '--experiments', '3');
  const { runner, candidate } = await begun(2);
  // Or it would be done before it has been looked at.
  process.kill(candidate.pid, 'SIGSTOP');
  const { worker } = await service.up();
  process.kill(worker.owner.pid, 'SIGKILL');
  const next = (await service.up()).worker;
  const goesOn = isAlive(runner);
  process.kill(candidate.pid, 'SIGCONT');
  await limitReached(3);

  expect(next.owner.pid).not.toBe(worker.owner.pid);
  expect(goesOn).toBe(true);
  expect(trainings(2)).toHaveLength(1);
  expect(trainings(2)[0]?.owner).toEqual(runner);
  const [, , record] = await history();
  expect(record?.runs[0]).toMatchObject({ seed: runSeed(TAG, 2, 1), attempts: 1 });
  const rows = git('show', `autoresearch-ledger/${TAG}:results.tsv`).split('\n');
  expect(rows).toHaveLength(4);
  expect(rows[3]).toContain(record?.commit.slice(0, 7));
});

test('the temporal CLI steers it with plain JSON, as the UI does', async () => {
  const id = `study-${TAG}`;
  const signal = (name: string, ...input: string[]) =>
    service.temporal('workflow', 'signal', '--workflow-id', id, '--name', name, ...input);
  await signal('adjustBudget', '--input', '{"experiments": 4}');
  await limitReached(4);
  await signal('adjustBudget', '--input', '{"experiments": -4}');
  const refused = await service.temporal('workflow', 'query', '--workflow-id', id, '--type', 'status');
  expect(refused).toContain('adjustBudget: experiments: expected more than 0');
  await signal('stop');
  await reached(({ study }) => study.phase === 'stopped');
  expect(
    await service.temporal(
      'workflow',
      'list',
      '--query',
      `AutoresearchStudy = '${TAG}' AND AutoresearchVerdict = 'keep'`,
    ),
  ).toContain('exp-0000');
});

test('git holds the record: branch, ledger and every candidate', async () => {
  const experiments = await history();
  const kept = experiments.filter(({ verdict }) => verdict === 'keep').at(-1);
  expect(git('rev-parse', `autoresearch/${TAG}`)).toBe(kept?.commit);
  for (const { number, commit } of experiments) {
    expect(git('rev-parse', `refs/autoresearch/${TAG}/exp/${String(number).padStart(4, '0')}`)).toBe(commit);
  }
  expect(git('rev-list', '--count', `autoresearch-ledger/${TAG}`)).toBe(String(experiments.length + 1));
  expect(git('status', '--porcelain')).toBe('');
  expect(git('branch', '--show-current')).toBe('main');
});

test('a stopped study is resumed from its ledger; stop --now ends a training within seconds', async () => {
  await service.ask('resume', TAG);
  await reached(({ study }) => study.phase === 'paused' && (study.reason ?? '').includes('4 of 4'));
  await service.ask('budget', TAG, '--experiments', 'none');
  const { runner, candidate } = await begun(4);
  // It would never end by itself.
  process.kill(candidate.pid, 'SIGSTOP');
  await service.ask('stop', TAG, '--now');
  await until(
    () => isAlive(runner),
    (alive) => !alive,
  );
  await reached(({ study }) => study.phase === 'stopped');
  expect(await history()).toHaveLength(4);
});

test('bad requests are refused with what to do', async () => {
  const taken = await service.run('start', '--lab', service.lab(), '--tag', TAG);
  expect([taken.code, taken.stderr]).toEqual([6, expect.stringContaining(`knows a study ${TAG} already`)]);
  const negative = await service.run('budget', TAG, '--experiments=-3');
  expect(negative.code).toBe(2);
  const nowhere = await service.run('start', '--lab', service.root);
  expect([nowhere.code, nowhere.stderr]).toEqual([3, expect.stringContaining('is not a git repository')]);
});

test('down stops all that it started', async () => {
  const { worker } = await service.up();
  await service.ask('down');
  expect(isAlive(worker.owner)).toBe(false);
});
