/**
 * A night of research: the claude researcher against a local Messages API, with a scripted model, every kind of API trouble,
 * a limit in dollars that is reached and raised, and a worker that is killed. Training takes no time; all else is real.
 * `npm run test:night` plays 200 experiments and prints the figures.
 */
import { execFileSync } from 'node:child_process';
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import type { ExperimentRecord } from '../../src/domain/experiment';
import { costOf } from '../../src/domain/money';
import { listPrice } from '../../src/domain/prices';
import { inputTokens } from '../messages-api/cache';
import { MessagesApi } from '../messages-api/server';
import { until } from '../workflows/world';
import { NightModel, TROUBLES } from './night-model';
import { Service, type StatusAnswer } from './service';

const EXPERIMENTS = Number(process.env['NIGHT_EXPERIMENTS'] ?? 24);
jest.setTimeout(60_000 + EXPERIMENTS * 30_000);

const TAG = 'night';
const KEY = 'sk-ant-night-0123456789abcdef';
const MODEL = 'claude-haiku-4-5';
const CONTEXT_TOKENS = 20_000;
/** Asking costs half a second of a processor, of which there may be two. */
const POLL_MS = 3_000;
/** US dollars; each is raised to the next when it is reached. */
const CAPS = [0.06, 0.12, 0.2 + EXPERIMENTS * 0.03];

let service: Service;
let api: MessagesApi;
const model = new NightModel();

beforeAll(async () => {
  api = await MessagesApi.start({ reply: model.reply, keys: [KEY], models: [MODEL] });
  service = await Service.create();
  makeLab();
  Object.assign(service.env, {
    ANTHROPIC_API_KEY: KEY,
    ANTHROPIC_BASE_URL: api.url,
    AUTORESEARCH_DEVICES: 'cpu',
  });
});
afterAll(async () => {
  await service.remove();
  await api.stop();
});

const git = (...args: string[]): string =>
  execFileSync('git', args, { cwd: service.lab(), encoding: 'utf8', maxBuffer: 1 << 28 }).trim();

/** What the API has charged, by its own account. */
function charged(): number {
  const price = listPrice(MODEL, CONTEXT_TOKENS);
  if (price === null) throw new Error(`${MODEL} has no price`);
  return api.served.reduce((sum, { usage }) => {
    if (usage === null) return sum;
    const hour = usage.cache_creation.ephemeral_1h_input_tokens;
    return (
      sum +
      costOf(
        {
          model: MODEL,
          calls: 1,
          input: usage.input_tokens,
          cacheWrite: usage.cache_creation_input_tokens - hour,
          cacheWriteHour: hour,
          cacheRead: usage.cache_read_input_tokens,
          output: usage.output_tokens,
        },
        price,
      )
    );
  }, 0);
}

function makeLab(): void {
  // Its locked files are those of the chaos suite's lab.
  for (const lab of [join(__dirname, '..', 'chaos', 'lab'), join(__dirname, 'night-lab')])
    cpSync(lab, service.lab(), { recursive: true });
  git('init', '--quiet', '--initial-branch', 'main');
  git('add', '.');
  git('-c', 'user.name=Me', '-c', 'user.email=me@example.com', 'commit', '--quiet', '-m', 'A lab');
}

/** Lets the night go on until it is over, as its owner would: resumes what waits for a person, raises the cap. */
async function sleepThrough(seen: Set<string>): Promise<StatusAnswer> {
  const caps = CAPS.slice();
  let cap = caps.shift()!;
  for (;;) {
    const now = await until(
      () => service.status(TAG),
      ({ study }) => study.phase === 'paused',
      60 + EXPERIMENTS * 20,
      POLL_MS,
    );
    const reason = now.study.reason ?? '';
    expect(charged()).toBeLessThanOrEqual(cap);
    if (reason.startsWith('experiments limit')) return now;
    if (reason.startsWith('dollars limit')) {
      seen.add('dollars limit');
      const next = caps.shift();
      if (next === undefined) throw new Error(`${reason}, with ${charged()} charged`);
      cap = next;
      await service.ask('budget', TAG, '--usd', String(cap));
    } else {
      const trouble = /the API rejects the key|the API has no model|refuses to bill this key/.exec(
        reason,
      )?.[0];
      if (trouble === undefined) throw new Error(`the study waits for another reason: ${reason}`);
      seen.add(trouble);
      await service.ask('resume', TAG);
    }
    await until(
      () => service.status(TAG),
      ({ study }) => study.phase === 'running' || study.reason !== reason,
    );
  }
}

test('no repeat, no cap exceeded, prompts within the budget, every kind of trouble survived', async () => {
  const began = performance.now();
  const { worker } = await service.up();
  const limits = ['--train-steps', '4', '--experiments', String(EXPERIMENTS), '--usd', String(CAPS[0])];
  const asked = ['--researcher', 'claude', '--model', MODEL];
  const tokens = ['--context-tokens', String(CONTEXT_TOKENS), '--answer-tokens', '2048'];
  await service.ask('start', '--lab', service.lab(), '--tag', TAG, ...limits, ...asked, ...tokens);
  await service.ask('hint', 'try a higher rate', TAG);
  await service.ask('ideas', TAG, '--add', 'momentum that grows');
  const seen = new Set<string>();
  const night = sleepThrough(seen);
  await until(
    () => api.served.length,
    (count) => count > 12,
    300,
  );
  process.kill(worker.owner.pid, 'SIGKILL');
  await service.up();
  const end = await night;

  const { experiments } = await service.ask<{ experiments: ExperimentRecord[] }>('history', TAG);
  expect(experiments.map(({ number }) => number)).toEqual([...Array(EXPERIMENTS).keys()]);
  expect(experiments.filter(({ reason }) => reason === 'no-proposal').map(({ number }) => number)).toEqual([
    TROUBLES['only talk']!.at,
  ]);
  const meanings = experiments.flatMap(({ research, runs }) =>
    runs.length > 0 ? (research?.meaning ?? []) : [],
  );
  expect(meanings.length).toBeGreaterThan(EXPERIMENTS * 0.9 - 3);
  expect(new Set(meanings).size).toBe(meanings.length);

  expect(Object.keys(TROUBLES).filter((name) => model.played[name] === undefined)).toEqual([]);
  expect([...seen].toSorted()).toEqual([
    'dollars limit',
    'refuses to bill this key',
    'the API has no model',
    'the API rejects the key',
  ]);
  // What the record says is no less than what was charged: an answer that broke off counts in full.
  const recorded = experiments.reduce((sum, { dollars }) => sum + dollars, 0);
  expect(recorded).toBeGreaterThanOrEqual(charged() - 1e-9);
  expect(recorded).toBeLessThanOrEqual(CAPS.at(-1)!);
  const prompts = api.served.map(({ request }) => inputTokens(request));
  expect(Math.max(...prompts)).toBeLessThanOrEqual(CONTEXT_TOKENS);

  const heard = experiments.flatMap(({ research }) => research?.hints ?? []);
  expect(heard).toEqual(['try a higher rate']);
  expect(experiments.flatMap(({ ideas }) => ideas)).toContainEqual(
    expect.objectContaining({ text: 'momentum that grows', from: 'human' }),
  );
  expect(experiments.some(({ research }) => research?.idea != null)).toBe(true);
  expect(experiments.some(({ research }) => (research?.lessons?.length ?? 0) > 0)).toBe(EXPERIMENTS > 20);
  const crashed = experiments.filter(({ repairs }) => repairs.length > 0);
  expect(crashed.map(({ verdict }) => verdict)).toContainEqual(expect.stringMatching(/keep|discard/));
  expect(await service.ask('verify', TAG)).toMatchObject({ agrees: true });

  await service.ask('replay', TAG);
  await service.run('down');
  expectNoKey();
  const usages = api.served.flatMap(({ usage }) => usage ?? []);
  const sum = (of: (usage: (typeof usages)[number]) => number): number =>
    usages.reduce((all, one) => all + of(one), 0);
  const read = sum((usage) => usage.cache_read_input_tokens);
  process.stdout.write(
    `${JSON.stringify({
      experiments: EXPERIMENTS,
      line: end.study.line,
      seconds: Math.round((performance.now() - began) / 1000),
      calls: usages.length,
      charged: Number(charged().toFixed(4)),
      recorded: Number(recorded.toFixed(4)),
      promptTokens: {
        mean: Math.round(prompts.reduce((a, b) => a + b, 0) / prompts.length),
        most: Math.max(...prompts),
      },
      cacheHits: Number(
        (read / (read + sum((usage) => usage.input_tokens + usage.cache_creation_input_tokens))).toFixed(3),
      ),
      played: model.played,
    })}\n`,
  );
});

test('claude and tpe share a study, each experiment with the name of its researcher', async () => {
  api.reply = new NightModel(true).reply;
  await service.up();
  const limits = ['--train-steps', '4', '--experiments', '9', '--usd', '1'];
  const asked = ['--researcher', 'claude+tpe', '--model', MODEL, '--context-tokens', String(CONTEXT_TOKENS)];
  await service.ask('start', '--lab', service.lab(), '--tag', 'shared', ...limits, ...asked);
  await until(
    () => service.status('shared'),
    ({ study }) => study.phase === 'paused',
    300,
    POLL_MS,
  );
  const { experiments } = await service.ask<{ experiments: ExperimentRecord[] }>('history', 'shared');
  expect(experiments).toHaveLength(9);
  expect(new Set(experiments.map(({ researcher }) => researcher))).toEqual(
    new Set(['baseline', 'claude', 'tpe']),
  );
  expect(experiments.every(({ researcher, dollars }) => researcher === 'claude' || dollars === 0)).toBe(true);
  expect(await service.ask('verify', 'shared')).toMatchObject({ agrees: true });
});

/** Not in any file of the installation, nor in any object of the lab's git. */
function expectNoKey(): void {
  const found = execFileSync('sh', ['-c', 'grep -rlaF "$1" "$2" || true', 'sh', KEY, service.root], {
    encoding: 'utf8',
  });
  expect(found).toBe('');
  expect(git('cat-file', '--batch-all-objects', '--batch', '--unordered')).not.toContain(KEY);
}
