/**
 * Cost of a kill with real training: the default lab on this host's first device (a GPU if there is one). Kills its processes while
 * it starts, trains and scores, and finally stops the study in the middle of a run.
 *
 *     npm run build && node bench/real-kills.mjs [--data FOLDER] [--seconds 30]
 *
 * One JSON line per kill, and one with the sums. Exits with 0 only if `verify` finds no difference, no process is left, and only
 * killed work was repeated.
 */
import { execFile, execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { secondsSpentTwice } from '../test/chaos/outcome.mjs';
import { processesOf, signal } from '../test/chaos/processes.mjs';
import { liveTasks } from '../test/chaos/runs.mjs';

const { values } = parseArgs({
  options: {
    data: { type: 'string', default: 'packages' },
    seconds: { type: 'string', default: '30' },
  },
});
const TAG = 'kills';
/** So long nobody notices. */
const ALONE_MS = 6_000;
const LOOK_MS = 100;
const PATIENCE_MS = 600_000;
/** In this phase of each experiment, from the first on, these are killed. */
const BLOWS = [
  { phase: 'starting', victims: ['worker'] },
  { phase: 'training', victims: ['worker'] },
  { phase: 'training', victims: ['server'] },
  { phase: 'scoring', victims: ['worker', 'server'] },
  { phase: 'training', victims: ['runner'] },
  { phase: 'training', victims: ['everything'] },
];

const root = mkdtempSync(join(tmpdir(), 'real-kills-'));
const cli = join(dirname(dirname(fileURLToPath(import.meta.url))), 'bin', 'autoresearch.js');
const env = { ...process.env, XDG_STATE_HOME: join(root, 'state'), XDG_RUNTIME_DIR: join(root, 'run') };
for (const name of Object.keys(env)) if (name.startsWith('TEMPORAL_')) delete env[name];
const installation = { processes: () => processesOf(root) };
/** Attempts whose own runner was killed, and how often. */
const struck = new Map();
const say = (line) => console.log(JSON.stringify({ bench: 'real kills', ...line }));
const since = (began) => Math.round((performance.now() - began) / 100) / 10;

try {
  await autoresearch('init', 'lab', '--data', values.data);
  await autoresearch('up');
  // prettier-ignore
  await autoresearch(
    'start', '--lab', 'lab', '--tag', TAG, '--researcher', 'tpe',
    '--train-seconds', values.seconds, '--experiments', String(BLOWS.length + 1),
  );
  for (const [experiment, blow] of BLOWS.entries()) await strike(experiment, blow);
  await stopNow(BLOWS.length);
  await autoresearch('verify', TAG, '--lab', 'lab');
  const { device } = JSON.parse(await autoresearch('show', '0', TAG, '--lab', 'lab')).record.class;
  await autoresearch('down');
  const { train, score, repeated } = secondsSpentTwice({ state: stateFolder, begun: () => [] }, struck);
  const left = processesOf(root).length;
  say({ device, trainSecondsSpentTwice: train, scoreSecondsSpentTwice: score, repeated, left });
  process.exitCode = repeated.length === 0 && left === 0 ? 0 : 1;
} catch (error) {
  say({ error: String(error), status: await autoresearch('status', TAG, '--lab', 'lab').catch(String) });
  process.exitCode = 1;
} finally {
  signal(processesOf(root), 'SIGKILL');
  rmSync(root, { recursive: true, force: true });
}

/** Kills, looks at what goes on meanwhile, brings up, and waits for the experiment's record. */
async function strike(experiment, { phase, victims }) {
  const before = await reached(experiment, phase);
  const isAll = victims.includes('everything');
  const dying = processesOf(root).filter(({ role }) => isAll || victims.includes(role));
  if (isAll || victims.includes('runner'))
    for (const task of liveTasks(installation)) struck.set(task, (struck.get(task) ?? 0) + 1);
  signal(dying, 'SIGSTOP'); // so that none sees another die
  signal(dying, 'SIGKILL');
  await sleep(ALONE_MS);
  const after = statusOf(before.attempt);
  const began = performance.now();
  await autoresearch('up');
  const upSeconds = since(began);
  const record = await recorded(experiment);
  say({
    experiment,
    phase,
    killed: victims,
    processes: dying.length,
    stepsWhileAway: after.step - before.status.step,
    secondsWhileAway: Math.round((after.wallSeconds - before.status.wallSeconds) * 10) / 10,
    upSeconds,
    verdict: record.verdict,
    attempts: attemptsOf(experiment).map(({ name, status }) => ({
      name,
      phase: status.phase,
      wallSeconds: Math.round(status.wallSeconds * 10) / 10,
    })),
  });
}

/** `stop --now` in the middle of a run: how long until nothing of it is left, on the device either. */
async function stopNow(experiment) {
  await reached(experiment, 'training');
  const began = performance.now();
  const answered = autoresearch('stop', TAG, '--lab', 'lab', '--now');
  await until('nothing of the run is left', () => ofTheRun().length === 0 && computeApps() === 0);
  const freeAfterSeconds = since(began);
  await answered;
  say({ experiment, stopped: 'now', freeAfterSeconds });
}

/** All but server, worker, and the commands that we run ourselves. */
function ofTheRun() {
  return processesOf(root).filter(
    ({ role, command }) => role !== 'server' && role !== 'worker' && !command.includes(cli),
  );
}

/** Programs that hold a GPU, whoever's; 0 where there is none. */
function computeApps() {
  try {
    const query = ['--query-compute-apps=pid', '--format=csv,noheader'];
    return execFileSync('nvidia-smi', query, { encoding: 'utf8' }).split('\n').filter(Boolean).length;
  } catch {
    return 0;
  }
}

/** The attempt of an experiment that is in this phase, once there is one. */
async function reached(experiment, phase) {
  return until(`experiment ${experiment} is at ${phase}`, () => {
    const last = attemptsOf(experiment).find(({ status }) => status.phase === phase);
    if (last === undefined) return null;
    // In the middle, not at the first step.
    if (phase === 'training' && last.status.trainSeconds < 2) return null;
    return { attempt: last.attempt, status: last.status };
  });
}

async function recorded(experiment) {
  return until(
    `experiment ${experiment} is recorded`,
    async () => {
      const answer = await autoresearch('history', TAG, '--lab', 'lab');
      return JSON.parse(answer).experiments.find(({ number }) => number === experiment) ?? null;
    },
    2_000,
  );
}

async function until(what, look, everyMs = LOOK_MS) {
  for (const end = performance.now() + PATIENCE_MS; performance.now() < end; await sleep(everyMs)) {
    const found = await look();
    if (found !== null && found !== false) return found;
  }
  throw new Error(`not seen within ${PATIENCE_MS / 1000} s: ${what}`);
}

function stateFolder() {
  const labs = join(root, 'state', 'autoresearch', 'labs');
  const [lab] = readdirSync(labs);
  return join(labs, lab, TAG);
}

/** Trainings first, then scorings, each in order. */
function attemptsOf(experiment) {
  try {
    const run = join(stateFolder(), 'runs', String(experiment).padStart(4, '0'), '1');
    return readdirSync(run)
      .filter((name) => /^(train|score)-\d+$/u.test(name))
      .toSorted()
      .toReversed()
      .map((name) => ({ name, attempt: join(run, name), status: statusOf(join(run, name)) }));
  } catch {
    return []; // not there yet
  }
}

function statusOf(attempt) {
  return JSON.parse(readFileSync(join(attempt, 'status.json'), 'utf8'));
}

/** Runs `autoresearch … --json`. @returns {Promise<string>} its answer */
function autoresearch(...args) {
  return new Promise((resolve, reject) => {
    const options = { env, cwd: root, maxBuffer: 64 << 20 };
    execFile(process.execPath, [cli, ...args, '--json'], options, (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else reject(new Error(`autoresearch ${args.join(' ')}: ${stdout}${stderr}`));
    });
  });
}
