/**
 * The worker of the long-life bench: the shipped workflows, and activities that answer at once. It stores no more of the study than
 * the domain's state does, so that its memory does not grow by itself. Reports each record to its parent.
 */
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);
const { DefaultLogger, Runtime, Worker } = require('@temporalio/worker');
const { finish, newStudy } = require('../../dist/domain/study.js');
const { asset } = require('../../dist/process/package-root.js');
const { connectNative } = require('../../dist/temporal/native-connection.js');
const { controlQueue, laneQueue } = require('../../dist/temporal/queues.js');

const TITLE = 'a change with a title of the length that researchers like, number';
const LANE = { queue: laneQueue('cpu'), device: 'cpu' };

/** One in twenty is kept, one in seven crashes. */
const isKept = (number) => number % 20 === 0;
const failureOf = (number) =>
  number % 7 === 3
    ? { reason: 'error', message: 'RuntimeError: as planned', tail: 'Traceback …'.repeat(50) }
    : null;
const scoreOf = (number) => (isKept(number) ? 2 - number / 1e5 : 3);

let ledger = null;
let hints = [];

const activities = {
  openStudy: async (config) => {
    ledger ??= newStudy(config.limits);
    return {
      state: ledger,
      lane: LANE,
      seal: 'graph',
      class: { device: 'bench', torch: '0', lab: '0', data: '0' },
      caps: { startup: 10, submission: 10, score: 10 },
    };
  },
  propose: async (input) => {
    const { number, waiting } = input;
    hints = waiting.hints;
    const proposal = 'f'.repeat(40);
    return { proposal, title: `${TITLE} ${number}`, dollars: 0.01, taken: waiting, gaveUp: null };
  },
  apply: async ({ number }) => ({ commit: String(number).padStart(40, '0'), failure: null }),
  train: async ({ number, seed }) => ({
    seed,
    attempts: 1,
    failure: failureOf(number),
    metrics: { steps: 100, tokens: 100_000, dataWaitSeconds: 0.1, peakMemoryMb: 40_000, lastLoss: 1 },
    trainSeconds: 300,
    wallSeconds: 330,
    startupSeconds: 20,
    initialWeights: 'a'.repeat(64),
    weights: 'b'.repeat(64),
    sandbox: 'none',
    device: 'cpu',
  }),
  evaluate: async ({ number }) => ({
    failure: null,
    score: scoreOf(number),
    metrics: { parameters: 5e7 },
    scoreSeconds: 3,
    wallSeconds: 5,
  }),
  record: async ({ number, commit, decision, runs, dollars }) => {
    const summary = {
      number,
      commit,
      verdict: decision.verdict,
      reason: decision.reason,
      score: decision.score,
      scores: runs.flatMap(({ score }) => score ?? []),
      incumbentScores: [],
      title: `${TITLE} ${number}`,
      gpuSeconds: 335,
      seconds: 340,
      dollars,
    };
    ledger = finish(ledger, summary);
    const { heapUsed } = process.memoryUsage();
    process.send({ number, verdict: summary.verdict, hints, heapUsed });
    hints = [];
    return { summary, ledger: 'l', branch: 'b' };
  },
};

Runtime.install({ logger: new DefaultLogger('WARN') });
const { connection, namespace } = await connectNative();
const common = { connection, namespace, activities };
const workers = await Promise.all([
  Worker.create({
    ...common,
    taskQueue: controlQueue(),
    workflowBundle: { codePath: asset('dist', 'workflows.bundle.js') },
  }),
  Worker.create({ ...common, taskQueue: LANE.queue, maxConcurrentActivityTaskExecutions: 1 }),
]);
process.once('disconnect', () => workers.forEach((worker) => worker.shutdown()));
await Promise.all(workers.map((worker) => worker.run()));
await connection.close();
