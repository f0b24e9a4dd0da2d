/**
 * Cost of git per experiment in a study of 100, 1,000 and 10,000 experiments: wall seconds to read the ledger for a proposal, `apply`
 * and `record`, and growth of the lab's git on disk. `git fast-import` makes the earlier records; the activities make the measured
 * ones, with the default lab's train.py.
 *
 *     npm run build && node bench/ledger.mjs [EXPERIMENTS…]
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bytesOnDisk } from './disk.mjs';
import { addRefs, AT, changed, fill, CLASS, makeLab, proposalOf, RUN } from './filled-lab.mjs';
import { median, round } from './long-life/figures.mjs';

const SIZES = process.argv.length > 2 ? process.argv.slice(2).map(Number) : [100, 1000, 10_000];
const STEPS = 100; // as many as lie between two packings of the lab

const require = createRequire(import.meta.url);
const { createApply } = require('../dist/activities/apply.js');
const { createRecord } = require('../dist/activities/record.js');
const { NOTHING_WAITS } = require('../dist/domain/waiting.js');
const { storeProposal } = require('../dist/ledger/proposals.js');
const { Git } = require('../dist/ledger/git.js');
const { readLedger } = require('../dist/ledger/ledger.js');

const say = (experiments, figure, value, unit) =>
  console.log(JSON.stringify({ bench: 'ledger', experiments, figure, value: round(value), unit }));

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
  fill(root, study, size);
  await addRefs(git, study, size);
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
