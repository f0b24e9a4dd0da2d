/**
 * What git costs an experiment in a study of 100, 1,000 and 10,000: reading the ledger for a proposal, `apply`, `record`, in
 * seconds of wall time, and what the lab's git grows by on disk. Records are made by `git fast-import`, the measured ones by the
 * activities themselves, with the default lab's train.py.
 *
 *     npm run build && node bench/ledger.mjs [EXPERIMENTS…]
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bytesOnDisk } from './disk.mjs';
import { median, round } from './long-life/figures.mjs';

const SIZES = process.argv.length > 2 ? process.argv.slice(2).map(Number) : [100, 1000, 10_000];
const STEPS = 100; // as many as lie between two packings of the lab

const require = createRequire(import.meta.url);
const { createApply } = require('../dist/activities/apply.js');
const { createRecord } = require('../dist/activities/record.js');
const { storeProposal } = require('../dist/ledger/proposals.js');
const { Git } = require('../dist/ledger/git.js');
const { openLedger, readLedger } = require('../dist/ledger/ledger.js');
const { baseRef, ledgerRef } = require('../dist/ledger/refs.js');
const { resultsTable } = require('../dist/ledger/results-tsv.js');
const { DEFAULT_POLICY } = require('../dist/domain/policies/choice.js');
const { LATER_SETTINGS } = require('../dist/domain/study.js');
const { NOTHING_WAITS } = require('../dist/domain/waiting.js');
const { asset } = require('../dist/process/package-root.js');

const TRAIN = readFileSync(asset('trainer', 'train.py'), 'utf8');
/** A knob turned. */
const changed = (number) => TRAIN.replace(/^MATRIX_LR = \S+/mu, `MATRIX_LR = ${0.01 + number / 1e6}`);

const LAB_YAML = `
version: 1
name: bench
metric: { name: val_bpb, direction: minimize }
editable: [train.py]
locked: [lab.yaml, score.py, prepare.py]
data: { prepare: [python, prepare.py] }
train: { command: [python, train.py] }
score: { command: [python, score.py] }
`;
const AT = '2026-11-21T00:00:00.000Z';
const CLASS = { device: 'bench', torch: '2.15', lab: 'c'.repeat(64), data: 'd'.repeat(64) };
const RUN = {
  seed: 1,
  attempts: 1,
  failure: null,
  arm: 'candidate',
  commit: 'e'.repeat(40),
  split: 'val',
  class: CLASS,
  metrics: {
    steps: 100,
    tokens: 100_000,
    dataWaitSeconds: 0.1,
    peakMemoryMb: 40_000,
    lastLoss: 1,
    parameters: 5e7,
  },
  trainSeconds: 300,
  wallSeconds: 330,
  startupSeconds: 20,
  initialWeights: 'a'.repeat(64),
  weights: 'b'.repeat(64),
  sandbox: 'bubblewrap',
  device: 'cuda:0',
  score: 1,
  scoreSeconds: 3,
  scoreWallSeconds: 5,
  startupGpuSeconds: null,
  sameWeightsAsSeed: null,
};

const say = (experiments, figure, value, unit) =>
  console.log(JSON.stringify({ bench: 'ledger', experiments, figure, value: round(value), unit }));

/** A text as `git fast-import` reads it. */
const data = (text) => `data ${Buffer.byteLength(text)}\n${text}\n`;

for (const size of SIZES) {
  const root = mkdtempSync(join(tmpdir(), 'ledger-'));
  try {
    await measure(root, size);
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}

async function measure(root, size) {
  const git = new Git(root);
  const study = await makeLab(root, git);
  await fill(root, git, study, size);
  const seconds = { read: [], apply: [], record: [] };
  const timed = async (name, work) => {
    const from = performance.now();
    const result = await work();
    seconds[name].push((performance.now() - from) / 1000);
    return result;
  };
  await timed('read', () => readLedger(git, study.tag));
  say(size, 'reading the ledger for the first time', seconds.read[0], 's');
  const before = bytesOnDisk(join(root, '.git'));
  const apply = createApply();
  const record = createRecord({ cleanUp: async () => {} });
  for (let number = size; number < size + STEPS; number++) {
    await timed('read', () => readLedger(git, study.tag));
    const edits = [{ path: 'train.py', content: changed(number) }];
    const proposal = await storeProposal(git, study.tag, number, proposalOf(number, edits));
    const change = { study, number, incumbent: study.base, proposal, repair: null, at: AT };
    const { commit } = await timed('apply', () => apply(change));
    const end = {
      decision: { verdict: 'discard', reason: 'not-better', score: 1, detail: 'not better' },
      failure: null,
    };
    const incumbent = { commit: study.base, experiment: 0, score: 1, scores: [1] };
    const about = {
      startedAt: AT,
      finishedAt: AT,
      dollars: 0.01,
      seal: 'graph',
      class: CLASS,
      limits: study.limits,
    };
    await timed('record', () =>
      record({
        study,
        number,
        commit,
        incumbent,
        proposals: [proposal],
        taken: NOTHING_WAITS,
        repairs: [],
        ...end,
        runs: [RUN],
        ...about,
      }),
    );
  }
  say(size, 'reading the ledger for a proposal, median', median(seconds.read.slice(1)), 's');
  say(size, 'apply, median', median(seconds.apply), 's');
  say(size, 'record, median', median(seconds.record), 's');
  say(size, 'record with the packing of every hundredth', Math.max(...seconds.record), 's');
  // The last of them has packed, as long as the size is a multiple of a hundred.
  say(
    size,
    "growth of the lab's git, an experiment",
    (bytesOnDisk(join(root, '.git')) - before) / STEPS / 1e3,
    'KB',
  );
  say(size, 'memory of this process', process.memoryUsage().rss / 2 ** 20, 'MB');
}

function proposalOf(number, edits) {
  const hypothesis = 'Five lines of reasons, as researchers give them. '.repeat(8);
  return { format: 1, title: `a change with a title of some length, number ${number}`, hypothesis, edits };
}

async function makeLab(root, git) {
  execFileSync('git', ['init', '--quiet', '--initial-branch=main', root]);
  const files = {
    'lab.yaml': LAB_YAML,
    'train.py': TRAIN,
    'score.py': '',
    'prepare.py': '',
    'program.md': '',
  };
  for (const [path, text] of Object.entries(files)) writeFileSync(join(root, path), text);
  await git.bytes(['add', '--all']);
  await git.bytes(['commit', '--quiet', '--message', 'Begin']);
  const base = await git.text(['rev-parse', 'HEAD']);
  const study = {
    format: 2,
    tag: 'bench',
    workflowId: 'study-bench',
    lab: root,
    labId: '00000000',
    researcher: 'tpe',
    researcherCommand: null,
    budget: { seconds: 300 },
    limits: { experiments: null, gpuHours: null, hours: null, dollars: null },
    metric: 'val_bpb',
    direction: 'minimize',
    base,
    createdAt: AT,
    ...LATER_SETTINGS,
  };
  await git.moveRef(baseRef(study.tag), base, null);
  await openLedger(git, study);
  return study;
}

/** `size` records, one commit each, and the table of all of them in the last. */
async function fill(root, git, study, size) {
  const records = Array.from({ length: size }, (_, number) => recordOf(study, number));
  const ledger = ledgerRef(study.tag);
  const lines = records.map((record, index) => {
    const name = String(record.number).padStart(4, '0');
    const from = index === 0 ? `from ${ledger}^0\n` : '';
    const table =
      index === size - 1 ? `M 100644 inline results.tsv\n${data(resultsTable(study.metric, records))}` : '';
    const commit = `commit ${ledger}\ncommitter autoresearch <autoresearch@localhost> 1763683200 +0000\n${data(record.title)}${from}`;
    return `${commit}M 100644 inline experiments/${name}.json\n${data(`${JSON.stringify(record, null, 2)}\n`)}${table}\n`;
  });
  execFileSync('git', ['fast-import', '--quiet'], { cwd: root, input: lines.join('') });
  const refs = records.flatMap(({ number }) =>
    ['exp', 'proposal'].map(
      (kind) =>
        `create refs/autoresearch/${study.tag}/${kind}/${String(number).padStart(4, '0')} ${study.base}\n`,
    ),
  );
  await git.bytes(['update-ref', '--stdin'], { input: refs.join('') });
  await git.bytes(['pack-refs', '--all']);
}

function recordOf({ tag, base, budget }, number) {
  const { title, hypothesis } = proposalOf(number, []);
  return {
    format: 2,
    study: tag,
    number,
    commit: base,
    incumbent: base,
    researcher: number === 0 ? 'baseline' : 'tpe',
    title,
    hypothesis,
    verdict: number === 0 ? 'keep' : 'discard',
    reason: number === 0 ? 'baseline' : 'not-better',
    detail: 'not better: 1.0000 against 0.9990',
    failure: null,
    score: 1,
    incumbentScore: number === 0 ? null : 1,
    runs: [RUN],
    research: null,
    ideas: [],
    droppedIdeas: [],
    repairs: [],
    repeatsRefused: 0,
    gpuDollars: 0,
    policy: DEFAULT_POLICY,
    budget,
    startedAt: AT,
    finishedAt: AT,
    dollars: 0.01,
    seal: 'graph',
    class: CLASS,
  };
}
