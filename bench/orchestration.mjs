/**
 * Temporal's own cost per experiment: the server and database of `up`, our workflows, activities that answer at once.
 * `npm run build && node bench/orchestration.mjs [EXPERIMENTS]` prints one JSON line per figure.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const state = mkdtempSync(join(tmpdir(), 'orchestration-'));
Object.assign(process.env, { XDG_STATE_HOME: state, XDG_RUNTIME_DIR: state });
for (const name of Object.keys(process.env)) if (name.startsWith('TEMPORAL_')) delete process.env[name];

const require = createRequire(import.meta.url);
const { DefaultLogger, Runtime, Worker } = require('@temporalio/worker');
const { rebuild } = require('../dist/domain/study.js');
const { UNLIMITED } = require('../dist/domain/limits.js');
const { asset } = require('../dist/process/package-root.js');
const { connect } = require('../dist/temporal/connection.js');
const { stopDevServer } = require('../dist/host/dev-server.js');
const { connectNative } = require('../dist/temporal/native-connection.js');
const { controlQueue } = require('../dist/temporal/queues.js');
const { ensureServer } = require('../dist/host/server.js');

const EXPERIMENTS = Number(process.argv[2] ?? 100);
const LANE = { queue: 'cpu-bench', device: 'cpu' };
const RUN = {
  seed: 1,
  attempts: 1,
  failure: null,
  metrics: { steps: 1, tokens: 1 },
  trainSeconds: 0,
  wallSeconds: 0,
  startupSeconds: 0,
  initialWeights: null,
  weights: null,
  sandbox: 'none',
  device: 'cpu',
};

/** Seconds from an experiment's start to its next, once the first few have warmed everything up. */
const recorded = [];

const activities = {
  openStudy: async ({ limits }) => ({
    state: rebuild(limits, []),
    lane: LANE,
    seal: 'graph',
    class: { device: 'bench', torch: '0', lab: '0', data: '0' },
    caps: { startup: 10, submission: 10, score: 10 },
  }),
  propose: async ({ number }) => ({ proposal: `p${number}`, title: `change ${number}`, dollars: 0 }),
  apply: async ({ number }) => ({ commit: String(number).padStart(40, '0'), failure: null }),
  train: async () => RUN,
  evaluate: async ({ number }) => ({
    failure: null,
    score: 2 - number / 1e6,
    metrics: { parameters: 1 },
    scoreSeconds: 0,
    wallSeconds: 0,
  }),
  record: async ({ number, commit, decision }) => {
    recorded.push(performance.now() / 1000);
    const summary = {
      number,
      commit,
      verdict: decision.verdict,
      reason: decision.reason,
      score: 2 - number / 1e6,
      title: `change ${number}`,
      gpuSeconds: 0,
      seconds: 0,
      dollars: 0,
    };
    return { summary, ledger: 'l', branch: 'b' };
  },
};

Runtime.install({ logger: new DefaultLogger('ERROR') });
await ensureServer({}, (line) => console.error(line));
const { client, connection } = await connect();
const native = await connectNative();
const common = { connection: native.connection, namespace: native.namespace, activities };
const workers = await Promise.all([
  Worker.create({
    ...common,
    taskQueue: controlQueue(),
    workflowBundle: { codePath: asset('dist', 'workflows.bundle.js') },
  }),
  Worker.create({ ...common, taskQueue: LANE.queue }),
]);
const running = Promise.all(workers.map((worker) => worker.run()));
const config = {
  format: 2,
  tag: 'bench',
  workflowId: 'study-bench',
  lab: '/nowhere',
  labId: '0',
  researcher: 'tpe',
  researcherCommand: null,
  budget: { seconds: 1 },
  limits: { ...UNLIMITED, experiments: EXPERIMENTS },
  metric: 'val_bpb',
  direction: 'minimize',
  base: 'b'.repeat(40),
  createdAt: new Date().toISOString(),
};
const handle = await client.workflow.start('study', {
  taskQueue: controlQueue(),
  workflowId: config.workflowId,
  args: [config],
});
while ((await handle.query('status')).phase !== 'paused') await new Promise((wake) => setTimeout(wake, 200));
const parent = (await handle.describe()).historyLength;
const child = (await client.workflow.getHandle(`${config.workflowId}/exp-0001`).describe()).historyLength;
await handle.signal('stop');
await handle.result();

const gaps = recorded.slice(1).map((at, index) => at - recorded[index]);
const sorted = gaps.slice(5).toSorted((a, b) => a - b);
const say = (figure, value, unit) =>
  console.log(JSON.stringify({ bench: 'orchestration', figure, value, unit }));
say(
  'seconds an experiment beyond its activities, median',
  Number(sorted[Math.floor(sorted.length / 2)].toFixed(3)),
  's',
);
say('the same, slowest tenth', Number(sorted[Math.floor(sorted.length * 0.9)].toFixed(3)), 's');
say('events of an experiment', child, 'events');
say('events of the study for each experiment', Number((parent / EXPERIMENTS).toFixed(1)), 'events');

for (const worker of workers) worker.shutdown();
await running;
await native.connection.close();
await connection.close();
await stopDevServer();
rmSync(state, { recursive: true, force: true });
