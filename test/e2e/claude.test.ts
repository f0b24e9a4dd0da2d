/** A study whose researcher is a scripted model: everything else is real, the API's troubles too. And where its key is. */
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { ExperimentRecord } from '../../src/domain/experiment';
import { answer, overloaded, rateLimited, refusal, toolUse, type Reply } from '../messages-api/reply';
import { MessagesApi } from '../messages-api/server';
import { until } from '../workflows/world';
import { Service, type StatusAnswer } from './service';

jest.setTimeout(600_000);
const TAG = 'claude';
const KEY = 'sk-ant-planted-e2e-0123456789abcdef';
let service: Service;
let api: MessagesApi;

/** A change that tells what it finds in its environment. */
const change = (title: string, knob: string, value: string): Reply =>
  answer(
    toolUse('propose', {
      title,
      hypothesis: `A test. The key is ${KEY}.`,
      expected: 'nothing',
      knobs: [knob],
      edits: [
        { path: 'train.py', search: '\nimport gc\n', replace: '\nimport gc\nimport sys\n' },
        {
          path: 'train.py',
          search: '\nfrom contextlib import nullcontext\n',
          replace: `\nfrom contextlib import nullcontext\n\nprint("environment", dict(os.environ), file=sys.stderr, flush=True)\n${knob}_NOTE = ${value}\n`,
        },
      ],
      idea: null,
      ideas: [`later: ${KEY}`],
      ranges: [],
      lessons: null,
    }),
  );

beforeAll(async () => {
  api = await MessagesApi.start({ reply: () => overloaded(), keys: [KEY] });
  service = await Service.create();
  Object.assign(service.env, { ANTHROPIC_API_KEY: KEY, ANTHROPIC_BASE_URL: api.url });
});
afterAll(async () => {
  await service.remove();
  await api.stop();
});

const git = (...args: string[]): string =>
  execFileSync('git', args, { cwd: service.lab(), encoding: 'latin1', maxBuffer: 1 << 30 });
const reached = (satisfies: (status: StatusAnswer) => boolean): Promise<StatusAnswer> =>
  until(() => service.status(TAG), satisfies, 240);
const history = async (): Promise<ExperimentRecord[]> =>
  (await service.ask<{ experiments: ExperimentRecord[] }>('history', TAG)).experiments;

test('it waits while the API is overloaded, and status says why', async () => {
  await service.up();
  await service.ask('init', service.lab());
  const about = ['--lab', service.lab(), '--tag', TAG];
  const limits = ['--train-steps', '8', '--experiments', '3', '--usd', '10'];
  const { study } = await service.ask<{ study: { researcher: string } }>('start', ...about, ...limits);
  expect(study.researcher).toBe('claude');
  const { stdout: answered } = await service.run('hint', 'look at the head', TAG);
  expect(answered).toMatch(/^waiting +1 hint for the next experiment$/m);
  await reached(({ current }) => current?.number === 1 && api.served.length >= 2);
  const { stdout } = await service.run('status', TAG);
  expect(stdout).toContain('Overloaded');
  // A few calls in all this time: Temporal waits longer and longer.
  expect(api.served.length).toBeLessThan(10);
});

test('rate limits, refusals and a change that is sent back, and then its experiment', async () => {
  const from = api.served.length;
  const replies = [rateLimited('1'), refusal(), change('Say the environment', 'DEPTH', '1')];
  api.reply = (_request, index) => replies[index - from] ?? overloaded();
  await reached(({ study }) => study.spent.experiments === 2);
  const [, record] = await history();
  expect(record).toMatchObject({ researcher: 'claude', title: 'Say the environment', failure: null });
  expect(record?.research?.usage).toMatchObject({ model: 'claude-opus-5-5', calls: 2 });
  expect(record?.dollars).toBeGreaterThan(0);
});

test('a wrong key pauses the study with what to do; resume clears it', async () => {
  const port = Number(new URL(api.url).port);
  await api.stop();
  api = await MessagesApi.start({ reply: () => overloaded(), keys: ['sk-ant-another-key'], port });
  const paused = await reached(({ study }) => study.phase === 'paused');
  expect(paused.study.reason).toContain('correct ANTHROPIC_API_KEY');
  await api.stop();
  api = await MessagesApi.start({ reply: () => change('Another', 'WIDTH', '2'), keys: [KEY], port });
  await service.ask('resume', TAG);
  await reached(({ study }) => study.spent.experiments === 3 && study.phase === 'paused');
  expect((await history()).map(({ failure }) => failure)).toEqual([null, null, null]);
});

test('the key is in the worker alone: not in git, histories, state, logs, transcripts, or with the trainer', async () => {
  const places = new Map<string, string>();
  places.set('git', git('cat-file', '--batch-all-objects', '--batch'));
  for (const id of [`study-${TAG}`, `study-${TAG}/exp-0001`, `study-${TAG}/exp-0002`]) {
    places.set(id, await service.temporal('workflow', 'show', '--workflow-id', id, '--output', 'json'));
  }
  for (const file of filesOf(service.root)) places.set(file, readFileSync(file, 'latin1'));
  const named = [...places].filter(([, content]) => content.includes(KEY)).map(([place]) => place);
  expect(named).toEqual([]);
  // That it would have been found there: the places have what was said beside it.
  const logs = [...places].filter(([, content]) => /environment \{.*PATH/.test(content));
  expect(logs.map(([place]) => place).join()).toContain('runs');
  expect(places.get('git')).toContain('The key is [a key was here].');
  expect([...places.keys()].some((place) => place.endsWith('transcript.jsonl'))).toBe(true);
});

function filesOf(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => !path.includes('/lab/.git/') && existsSync(path) && statSync(path).isFile());
}
