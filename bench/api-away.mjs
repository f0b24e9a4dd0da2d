/**
 * A long outage of the Messages API in the middle of a study of the claude researcher. Only the API and its model are faked.
 *
 *     npm run build && node bench/api-away.mjs [--minutes 61]
 *
 * JSON lines: `status` during the outage; at the end the time from the API's return to the next record, and the cost of the outage.
 * Exits with 0 only if the study continued without a command, paid only for answered calls, and `verify` finds no difference.
 */
import { execFileSync } from 'node:child_process';
import { cpSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';

const require = createRequire(import.meta.url);
require('../test/typescript-hook.js').loadTypeScript();
const { Service } = require('../test/e2e/service.ts');
const { NightModel } = require('../test/e2e/night-model.ts');
const { MessagesApi } = require('../test/messages-api/server.ts');

const { values } = parseArgs({ options: { minutes: { type: 'string', default: '61' } } });
const AWAY_MS = Number(values.minutes) * 60_000;
const TAG = 'away';
const MODEL = 'claude-haiku-4-5';
const EXPERIMENTS = { before: 3, all: 6 };
const PATIENCE_MS = 1_800_000;
const test = join(import.meta.dirname, '..', 'test');
const say = (line) => console.log(JSON.stringify({ bench: 'api away', ...line }));

const model = new NightModel(true);
const reply = (request) => model.reply(request);
let api = await MessagesApi.start({ reply, models: [MODEL] });
const port = Number(new URL(api.url).port);
const service = await Service.create();
Object.assign(service.env, {
  ANTHROPIC_API_KEY: 'sk-ant-away-0123456789abcdef',
  ANTHROPIC_BASE_URL: api.url,
  AUTORESEARCH_DEVICES: 'cpu',
});
try {
  makeLab();
  await service.up();
  // prettier-ignore
  await service.ask(
    'start', '--lab', service.lab(), '--tag', TAG, '--train-steps', '4', '--usd', '1',
    '--experiments', String(EXPERIMENTS.all), '--researcher', 'claude', '--model', MODEL,
  );
  await until(async () => (await spent()).experiments >= EXPERIMENTS.before);
  await api.stop();
  await sleep(AWAY_MS);
  const { study, current } = await service.status(TAG);
  say({ minutes: Number(values.minutes), phase: study.phase, spent: study.spent, current });
  const before = study.spent.experiments;
  api = await MessagesApi.start({ reply, models: [MODEL], port });
  const began = performance.now();
  await until(async () => (await spent()).experiments > before);
  const seconds = Math.round((performance.now() - began) / 1000);
  await until(async () => (await spent()).experiments === EXPERIMENTS.all);
  const { experiments } = await service.ask('history', TAG);
  const { agrees } = await service.ask('verify', TAG);
  const answered = experiments.every(({ number, reason }) => number === 0 || reason !== 'no-proposal');
  say({
    recordedAfterSeconds: seconds,
    experiments: experiments.length,
    answered,
    agrees,
    spent: await spent(),
  });
  process.exitCode = study.phase === 'running' && answered && agrees ? 0 : 1;
} finally {
  await service.remove();
  await api.stop();
}

async function spent() {
  return (await service.status(TAG)).study.spent;
}

function makeLab() {
  // Its locked files are those of the chaos suite's lab.
  for (const lab of [join(test, 'chaos', 'lab'), join(test, 'e2e', 'night-lab')])
    cpSync(lab, service.lab(), { recursive: true });
  const identity = ['-c', 'user.name=Me', '-c', 'user.email=me@example.com'];
  git('init', '--quiet', '--initial-branch', 'main');
  git('add', '.');
  git(...identity, 'commit', '--quiet', '-m', 'A lab');
}

function git(...args) {
  execFileSync('git', args, { cwd: service.lab() });
}

async function until(look) {
  for (const end = performance.now() + PATIENCE_MS; performance.now() < end; await sleep(2_000))
    if (await look()) return;
  throw new Error(`the study does not go on: ${JSON.stringify(await service.status(TAG))}`);
}
