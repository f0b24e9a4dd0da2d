/**
 * Cost and accuracy of repeat detection late in a long study: a synthetic ledger of 1,000 experiments in a real git lab. The propose
 * activity's check sees equally many rewritten repeats, literal repeats and new candidates. One JSON line per figure.
 *
 *     npm run build && node bench/repeats.mjs [EXPERIMENTS]
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { median, round } from './long-life/figures.mjs';

const EXPERIMENTS = Number(process.argv[2] ?? 1000);
const LOOKS = 15;
const never = new AbortController().signal;

const require = createRequire(import.meta.url);
require('../test/typescript-hook.js').loadTypeScript();
const { syntheticStudy } = require('../test/ledger/synthetic.ts');
const { createCheck } = require('../dist/activities/check-proposal.js');
const { parseLabConfig } = require('../dist/labs/lab-yaml.js');
const { trainerPython } = require('../dist/host/trainer-python.js');

const python = trainerPython();
if (python === null) throw new Error('the trainer has no Python environment yet: run `npx autoresearch up`');
const root = mkdtempSync(join(tmpdir(), 'repeats-'));
process.env.XDG_STATE_HOME = join(root, 'state');

const say = (figure, value, unit) =>
  console.log(
    JSON.stringify({ bench: 'repeats', experiments: EXPERIMENTS, figure, value: round(value), unit }),
  );
const git = (args, input) =>
  execFileSync('git', args, { cwd: join(root, 'lab'), input, encoding: 'utf8' }).trim();

try {
  await measure();
} finally {
  rmSync(root, { recursive: true, force: true });
}

async function measure() {
  const trainer = join(import.meta.dirname, '..', 'trainer');
  const lab = parseLabConfig(readFileSync(join(trainer, 'lab.yaml'), 'utf8'));
  const study = syntheticStudy(EXPERIMENTS, readFileSync(join(trainer, 'train.py'), 'utf8'));
  const history = commitAll(study);
  const incumbent = history.findLast(({ verdict }) => verdict === 'keep').commit;
  const config = { tag: 'synthetic', lab: join(root, 'lab'), labId: 'bench', base: history[0].commit };
  const input = { study: config, number: EXPERIMENTS, incumbent, repair: null };
  const look = (content) =>
    createCheck(python)(input, lab, history).look([{ path: 'train.py', content }], never);
  const timed = async (content) => {
    const from = performance.now();
    const { objection } = await look(content);
    return { seconds: (performance.now() - from) / 1000, kind: objection?.kind ?? null };
  };

  const text = (number) => study.files.get(study.records[number].commit);
  const repeated = [...study.repeats.values()].slice(0, LOOKS);
  const first = await timed(text(repeated[0]));
  say('the first look, which reads all candidates', first.seconds, 's');
  const others = {
    'in other words': repeated.map((number) =>
      text(number).replaceAll('twisted', 'renamed').replace('import gc', '# said anew\nimport gc'),
    ),
    'letter by letter': repeated.map(text),
    'new ones': repeated.map((number) => `${text(number)}\n\nNEW = ${number}\n`),
  };
  const seconds = [];
  for (const [name, contents] of Object.entries(others)) {
    const looks = [];
    for (const content of contents) looks.push(await timed(content));
    seconds.push(...looks.map((each) => each.seconds));
    say(
      `taken for repeats: ${name}`,
      looks.filter(({ kind }) => kind === 'repeat').length,
      `of ${looks.length}`,
    );
  }
  say('a look after that, median', median(seconds), 's');
}

/** A text as `git fast-import` reads it. */
const data = (content) => `data ${Buffer.byteLength(content)}\n${content}\n`;

/** A lab with a commit for each experiment; gives the records with the hashes that git gave. */
function commitAll({ records, files }) {
  execFileSync('git', ['init', '--quiet', '--initial-branch=main', join(root, 'lab')]);
  const marks = join(root, 'marks');
  const stream = records.map(({ number, commit }) => {
    const from = number === 0 ? '' : 'from :1\n';
    const head = `commit refs/autoresearch/synthetic/exp/${number}\nmark :${number + 1}\n`;
    return `${head}committer bench <bench@localhost> 1763683200 +0000\n${data(`experiment ${number}`)}${from}M 100644 inline train.py\n${data(files.get(commit))}`;
  });
  git(['fast-import', '--quiet', `--export-marks=${marks}`], stream.join(''));
  const hashes = new Map(
    readFileSync(marks, 'utf8')
      .trim()
      .split('\n')
      .map((line) => [Number(line.split(' ')[0].slice(1)) - 1, line.split(' ')[1]]),
  );
  const named = new Map(records.map(({ number, commit }) => [commit, hashes.get(number)]));
  const runs = [{ score: 1 }];
  return records.map((record) => ({
    ...record,
    runs,
    commit: named.get(record.commit),
    incumbent: named.get(record.incumbent),
  }));
}
