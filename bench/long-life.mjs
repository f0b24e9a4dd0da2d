/**
 * A study of 10,000 experiments with our workflows, the server and worker of `up`, and activities that answer at once. Hints,
 * limits and pauses arrive throughout, most of them during continue-as-new.
 *
 *     npm run build && nice node bench/long-life.mjs [EXPERIMENTS]
 *
 * One JSON line per hundred experiments, and at the end one per figure: its slope over the study (least squares, 95 %), and the
 * means of the first and the last thousand. A lost, repeated or refused message is an error and exit code 1. Ctrl+C prints the
 * figures so far. The server's database is in /dev/shm if possible, so that the disk's fsyncs are not measured.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { median, processFigures, round, trend } from './long-life/figures.mjs';

const EXPERIMENTS = Number(process.argv[2] ?? 10_000);
const SAMPLE = 100; // experiments in a sample
const WARM = 500; // experiments that warm up caches and compilers: no part of the slopes
const HINT_EVERY = 10;
const PAUSE_EVERY = 500;
const FAILED_PRECONDITION = 9; // gRPC
const NEAR = 30; // events before the suggested end of a run's history in which people are most lively
const LONG = 1000; // events after which a study continues as new (src/workflows/study.ts)

const state = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'long-life-'));
Object.assign(process.env, { XDG_STATE_HOME: state, XDG_RUNTIME_DIR: state });
for (const name of Object.keys(process.env)) if (name.startsWith('TEMPORAL_')) delete process.env[name];

const require = createRequire(import.meta.url);
const { UNLIMITED } = require('../dist/domain/limits.js');
const { connect } = require('../dist/temporal/connection.js');
const { stopDevServer } = require('../dist/host/dev-server.js');
const { runningServer, serverDatabase } = require('../dist/temporal/server-info.js');
const { ensureServer } = require('../dist/host/server.js');
const { controlQueue } = require('../dist/temporal/queues.js');

const say = (line) => console.log(JSON.stringify({ bench: 'long-life', ...line }));
const wrong = [];
const check = (holds, what) => {
  if (holds) return;
  wrong.push(what);
  say({ wrong: what });
};

await ensureServer({}, (line) => console.error(line));
const { client, connection } = await connect();
const server = await runningServer();
const worker = fork(new URL('long-life/worker.mjs', import.meta.url));

// What the worker has recorded, and which hints each proposal was given.
const verdicts = { keep: 0, discard: 0, crash: 0 };
const given = new Map();
let recorded = 0;
let heapUsed = 0;
let times = [];
worker.on('message', (message) => {
  check(message.number === recorded, `experiment ${message.number} was recorded after ${recorded - 1}`);
  recorded = message.number + 1;
  verdicts[message.verdict] += 1;
  heapUsed = message.heapUsed;
  for (const text of message.hints) given.set(text, (given.get(text) ?? 0) + 1);
  times.push(performance.now() / 1000);
});
const end = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => end.abort());
worker.once('exit', (code) => {
  check(end.signal.aborted, `the worker ended with ${code} at experiment ${recorded}`);
  end.abort();
});

const workflowId = 'study-long-life';
const config = {
  format: 2,
  tag: 'long-life',
  workflowId,
  lab: '/nowhere',
  labId: '00000000',
  researcher: 'tpe',
  researcherCommand: null,
  budget: { seconds: 300 },
  limits: { ...UNLIMITED, experiments: EXPERIMENTS },
  metric: 'val_bpb',
  direction: 'minimize',
  base: 'b'.repeat(40),
  createdAt: new Date().toISOString(),
};
await client.workflow.start('study', { taskQueue: controlQueue(), workflowId, args: [config] });
const handle = client.workflow.getHandle(workflowId);

let asked = 0; // hints sent
let askedAgain = 0; // updates that were refused at first
let limit = 1_000_000; // the last gpuHours limit that was set
let runs = 1;
let runId = null;
let history = { events: 0, bytes: 0 };

async function look() {
  const { raw } = await handle.describe();
  const info = raw.workflowExecutionInfo;
  if (runId !== null && info.execution.runId !== runId) runs += 1;
  runId = info.execution.runId;
  history = { events: Number(info.historyLength), bytes: Number(info.historySizeBytes) };
}

/** As a person would: what the server refuses while a workflow task is done again is asked again. */
async function update(name, ...args) {
  for (;;) {
    try {
      return await handle.executeUpdate(name, { args });
    } catch (error) {
      if (error.cause?.code !== FAILED_PRECONDITION || isOver()) throw error;
      askedAgain += 1;
      await sleep(1000);
    }
  }
}

async function giveHint() {
  await handle.signal('hint', `hint ${asked++}`);
}

async function setLimit() {
  const status = await update('adjustBudget', { gpuHours: ++limit });
  check(status.limits.gpuHours === limit, `limit ${limit} was answered with ${status.limits.gpuHours}`);
  check(status.limits.experiments === EXPERIMENTS, `the experiments limit is ${status.limits.experiments}`);
}

/** Pauses, sees that nothing is recorded while it lasts, goes on. `during` comes after the pause, before the wait. */
async function pauseForAWhile(during = async () => {}) {
  await update('pause');
  await during();
  while ((await handle.query('status')).phase !== 'paused') await sleep(100);
  const before = recorded;
  await sleep(1000);
  check(recorded === before, `experiment ${recorded - 1} was recorded in a pause`);
  const status = await update('resume');
  check(status.spent.experiments === recorded, `${status.spent.experiments} counted, ${recorded} recorded`);
}

/** Everything that people can do, while the study goes over into a new run; every second time it does so paused. */
async function crowd() {
  const run = runId;
  const lively = async () => {
    for (let nth = 0; nth < 15; nth++) {
      if (runId !== run || isOver()) return;
      await Promise.all([giveHint(), setLimit(), handle.query('status'), look()]);
      await sleep(100);
    }
  };
  await (runs % 2 === 0 ? pauseForAWhile(lively) : lively());
}

const samples = [];
let cpu = { worker: 0, server: 0 };

async function sample(number) {
  const of = { worker: processFigures(worker.pid), server: processFigures(server.owner.pid) };
  const gaps = times.slice(1).map((at, index) => at - times[index]);
  times = times.slice(-1);
  const child = await client.workflow
    .getHandle(`${workflowId}/exp-${String(number - 1).padStart(4, '0')}`)
    .describe();
  const perExperiment = (now, before) =>
    samples.length === 0 ? null : (now - before) / (number - samples.at(-1).number);
  samples.push({
    number,
    seconds: median(gaps),
    workerCpuSeconds: perExperiment(of.worker.cpuSeconds, cpu.worker),
    serverCpuSeconds: perExperiment(of.server.cpuSeconds, cpu.server),
    workerMb: of.worker.rssMb,
    workerHeapMb: heapUsed / 2 ** 20,
    serverMb: of.server.rssMb,
    databaseMb: databaseMb(),
    experimentEvents: child.historyLength,
    experimentBytes: Number(child.raw.workflowExecutionInfo.historySizeBytes),
    studyEvents: history.events,
    studyBytes: history.bytes,
    runs,
  });
  cpu = { worker: of.worker.cpuSeconds, server: of.server.cpuSeconds };
  say(Object.fromEntries(Object.entries(samples.at(-1)).map(([key, value]) => [key, value && round(value)])));
}

const databaseMb = () =>
  ['', '-wal'].reduce(
    (sum, suffix) => sum + (statSync(serverDatabase() + suffix, { throwIfNoEntry: false })?.size ?? 0),
    0,
  ) /
  2 ** 20;

const isOver = () => recorded >= EXPERIMENTS || end.signal.aborted;
for (let seen = 0, crowded = null; !isOver();) {
  await sleep(50);
  if (recorded === seen) continue;
  const every = (n) => Math.floor(recorded / n) > Math.floor(seen / n);
  const passed = { hint: every(HINT_EVERY), pause: every(PAUSE_EVERY), sample: every(SAMPLE) };
  seen = recorded;
  if (passed.hint) await Promise.all([giveHint(), setLimit(), look()]);
  if (history.events > LONG - 150) await look();
  if (history.events > LONG - NEAR && crowded !== runId) {
    crowded = runId;
    await crowd();
  }
  if (passed.pause) await pauseForAWhile();
  if (passed.sample) await sample(Math.floor(seen / SAMPLE) * SAMPLE);
}

if (!end.signal.aborted) {
  while ((await handle.query('status')).phase !== 'paused') await sleep(100);
  const { kept, discarded, crashed, spent, limits, waiting } = await handle.query('status');
  check(spent.experiments === EXPERIMENTS, `${spent.experiments} experiments are counted`);
  check(
    kept === verdicts.keep && discarded === verdicts.discard && crashed === verdicts.crash,
    'the verdicts do not add up',
  );
  check(Math.abs(spent.dollars - 0.01 * (EXPERIMENTS - 1)) < 1e-6, `$ ${spent.dollars} are counted`);
  check(limits.gpuHours === limit, `the last limit was ${limit}, it is ${limits.gpuHours}`);
  for (const text of waiting.hints) given.set(text, (given.get(text) ?? 0) + 1);
  const lost = Array.from({ length: asked }, (_, n) => `hint ${n}`).filter((text) => given.get(text) !== 1);
  check(lost.length === 0, `hints lost or given twice: ${lost.slice(0, 5).join(', ')}`);
}
const figures = {
  seconds: 's an experiment, median of a hundred',
  workerCpuSeconds: 'CPU s an experiment',
  serverCpuSeconds: 'CPU s an experiment',
  workerMb: 'MB',
  workerHeapMb: 'MB',
  serverMb: 'MB',
  databaseMb: 'MB',
  experimentEvents: 'events of an experiment',
  experimentBytes: 'bytes of an experiment’s history',
  studyBytes: 'bytes of the study’s history in its run',
};
for (const [figure, unit] of Object.entries(figures)) say({ figure, unit, ...trend(samples, figure, WARM) });
say({
  experiments: recorded,
  runs,
  hints: asked,
  askedAgain,
  limitsSet: limit - 1_000_000,
  wrong: wrong.length,
});

end.abort();
worker.disconnect();
await once(worker, 'exit');
await connection.close();
await stopDevServer();
rmSync(state, { recursive: true, force: true });
process.exitCode = wrong.length === 0 ? 0 : 1;
