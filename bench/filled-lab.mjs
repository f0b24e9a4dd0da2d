/** A lab with a study of any number of experiments. `git fast-import` makes the records. */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

const require = createRequire(import.meta.url);
const { openLedger } = require('../dist/ledger/ledger.js');
const { baseRef, ledgerRef } = require('../dist/ledger/refs.js');
const { resultsTable } = require('../dist/ledger/results-tsv.js');
const { DEFAULT_POLICY } = require('../dist/domain/policies/choice.js');
const { LATER_SETTINGS } = require('../dist/domain/study.js');
const { asset } = require('../dist/process/package-root.js');

const TRAIN = readFileSync(asset('trainer', 'train.py'), 'utf8');
/** A knob turned. */
export const changed = (number) => TRAIN.replace(/^MATRIX_LR = \S+/mu, `MATRIX_LR = ${0.01 + number / 1e6}`);

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
export const AT = '2026-11-21T00:00:00.000Z';
export const CLASS = { device: 'bench', torch: '2.15', lab: 'c'.repeat(64), data: 'd'.repeat(64) };
export const RUN = {
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

/** A text as `git fast-import` reads it. */
const data = (text) => `data ${Buffer.byteLength(text)}\n${text}\n`;

export function proposalOf(number, edits) {
  const hypothesis = 'Five lines of reasons, as researchers give them. '.repeat(8);
  return { format: 1, title: `a change with a title of some length, number ${number}`, hypothesis, edits };
}

export async function makeLab(root, git) {
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

/** `size` records, `each` of them in one commit, and the table of all of them in the last. */
export function fill(root, study, size, each = 1) {
  const records = Array.from({ length: size }, (_, number) => recordOf(study, number));
  const ledger = ledgerRef(study.tag);
  const lines = records.map((record, index) => {
    const name = String(record.number).padStart(4, '0');
    const from = index === 0 ? `from ${ledger}^0\n` : '';
    const table =
      index === size - 1 ? `M 100644 inline results.tsv\n${data(resultsTable(study.metric, records))}` : '';
    const commit = `commit ${ledger}\ncommitter autoresearch <autoresearch@localhost> 1763683200 +0000\n${data(record.title)}${from}`;
    return `${index % each === 0 ? commit : ''}M 100644 inline experiments/${name}.json\n${data(`${JSON.stringify(record, null, 2)}\n`)}${table}`;
  });
  execFileSync('git', ['fast-import', '--quiet'], { cwd: root, input: lines.join('') });
}

/** The refs that `size` experiments have. */
export async function addRefs(git, study, size) {
  const refs = Array.from({ length: size }, (_, number) => number).flatMap((number) =>
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
