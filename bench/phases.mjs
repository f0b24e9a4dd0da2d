/**
 * Splits the wall time of a study's experiments, from its ledger, into training budget and overhead. Also measures the study's state
 * folder, if it is on this host.
 * `npm run build && node bench/phases.mjs LAB TAG` prints one JSON line per figure (medians over scored experiments; for the state
 * folder means over all).
 */
import { existsSync, readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { bytesOnDisk } from './disk.mjs';

const require = createRequire(import.meta.url);
const { Git } = require('../dist/ledger/git.js');
const { readLedger } = require('../dist/ledger/ledger.js');
const { labId, studyState } = require('../dist/process/paths.js');

const [lab, tag] = process.argv.slice(2);
if (lab === undefined || tag === undefined) {
  console.error('usage: node bench/phases.mjs LAB TAG');
  process.exit(2);
}
const scored = (await readLedger(new Git(lab), tag)).filter(({ score }) => score !== null);
if (scored.length === 0) {
  console.error(`study ${tag} of ${lab} has no scored experiment yet`);
  process.exit(1);
}

const wall = ({ startedAt, finishedAt }) => (Date.parse(finishedAt) - Date.parse(startedAt)) / 1000;
const sum = (runs, key) => runs.reduce((total, run) => total + run[key], 0);
const sumOf = (runs, metric) => runs.reduce((total, { metrics }) => total + (metrics[metric] ?? 0), 0);
const device = scored[0].class.device;
const say = (figure, of, unit = 's') => {
  const values = scored.map(of).toSorted((a, b) => a - b);
  const value = Number(values[Math.floor(values.length / 2)].toPrecision(4));
  console.log(JSON.stringify({ bench: 'phases', figure, value, unit, device, experiments: scored.length }));
};

say('wall time of an experiment', wall);
say('training, by the runner’s clock', ({ runs }) => sum(runs, 'trainSeconds'));
say('beyond training', (record) => wall(record) - sum(record.runs, 'trainSeconds'));
say('  start-up: sandbox, imports, compiling', ({ runs }) => sum(runs, 'startupSeconds'));
say(
  '  submission and exit',
  ({ runs }) => sum(runs, 'wallSeconds') - sum(runs, 'startupSeconds') - sum(runs, 'trainSeconds'),
);
say('  scoring, the whole process', ({ runs }) => sum(runs, 'scoreWallSeconds'));
say('    of it scoring proper', ({ runs }) => sum(runs, 'scoreSeconds'));
say(
  '  propose, git, Temporal',
  (record) => wall(record) - sum(record.runs, 'wallSeconds') - sum(record.runs, 'scoreWallSeconds'),
);
say(
  'share of training spent waiting for data',
  ({ runs }) => sumOf(runs, 'dataWaitSeconds') / sum(runs, 'trainSeconds'),
  '',
);
say('tokens trained a second', ({ runs }) => sumOf(runs, 'tokens') / sum(runs, 'trainSeconds'), 'tokens/s');

const state = studyState(labId(lab), tag);
if (existsSync(join(state, 'runs'))) {
  const numbers = readdirSync(join(state, 'runs'));
  const tell = (figure, bytes, experiments) => {
    const value = Number((bytes / experiments / 1e3).toPrecision(3));
    console.log(JSON.stringify({ bench: 'phases', figure, value, unit: 'KB', device, experiments }));
  };
  const all = ['runs', 'proposals'].filter((name) => existsSync(join(state, name)));
  const total = (counts) => all.reduce((bytes, name) => bytes + bytesOnDisk(join(state, name), counts), 0);
  const rest = total((name) => name !== 'submission');
  tell('state folder, an experiment, without submissions', rest, numbers.length);
  const kept = scored.filter(({ verdict }) => verdict === 'keep').length;
  tell('submission of a kept one', total() - rest, kept);
}
