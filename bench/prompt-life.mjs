/**
 * Size of the claude researcher's prompt over a study of 1,000 experiments, at several budgets: most tokens (our estimate, tools
 * included), the share of the prompt that is a prefix of the previous one (for the prompt cache), milliseconds to build it, and
 * the requests of the plateau rule. The ledger is synthetic. One JSON line per figure, with --curve one per point.
 *
 *     npm run build && node bench/prompt-life.mjs [--curve] [EXPERIMENTS]
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { median, round } from './long-life/figures.mjs';

const options = process.argv.slice(2);
const curve = options.includes('--curve');
const EXPERIMENTS = Number(options.find((option) => /^\d+$/.test(option)) ?? 1000);
const CONTEXTS = [32_000, 64_000, 128_000];
const PLATEAU_AFTER = 8;
/** The first ones, and neighbours from then on. */
const NUMBERS = Array.from({ length: EXPERIMENTS }, (_, index) => index + 1).filter(
  (number) => number <= 20 || number % 10 === 4 || number % 10 === 5 || number === EXPERIMENTS,
);

const require = createRequire(import.meta.url);
require('../test/typescript-hook.js').loadTypeScript();
const { syntheticStudy } = require('../test/ledger/synthetic.ts');
const { backlog, lessons } = require('../dist/domain/ideas.js');
const { plateauOf } = require('../dist/domain/plateau.js');
const { parseLabConfig } = require('../dist/labs/lab-yaml.js');
const { buildPrompt, PROMPT_SHARE, wantedDiffs } = require('../dist/researchers/claude/prompt.js');

const trainer = join(import.meta.dirname, '..', 'trainer');
const lab = parseLabConfig(readFileSync(join(trainer, 'lab.yaml'), 'utf8'));
const program = readFileSync(join(trainer, 'program.md'), 'utf8');
const study = syntheticStudy(EXPERIMENTS, readFileSync(join(trainer, 'train.py'), 'utf8'));

const say = (figure, value, unit, more = {}) =>
  console.log(
    JSON.stringify({
      bench: 'prompt-life',
      experiments: EXPERIMENTS,
      ...more,
      figure,
      value: round(value),
      unit,
    }),
  );

/** What the propose activity would show before experiment `number`. */
function shownAt(number) {
  const history = study.records.slice(0, number);
  const kept = history.findLast(({ verdict }) => verdict === 'keep');
  const shown = {
    lab,
    budget: { seconds: lab.train.seconds },
    others: [],
    number,
    program,
    incumbent: { commit: kept.commit, files: { 'train.py': study.files.get(kept.commit) } },
    history,
    hints: number % 25 === 0 ? ['look at the warm-up once more'] : [],
    ideas: backlog(history),
    lessons: lessons(history).lessons,
    plateau: plateauOf(number - 1 - kept.number, PLATEAU_AFTER),
    left: { experiments: EXPERIMENTS - number, gpuHours: null, hours: null, dollars: 100 },
    repair: null,
    lessonsDue: number % 10 === 0,
  };
  const diffs = new Map(wantedDiffs(shown).map((commit) => [commit, study.patches.get(commit)]));
  return { ...shown, diffs };
}

const textOf = ({ system, content }) => [...system, ...content].map(({ text }) => text).join('');

function sharedPart(a, b) {
  let length = 0;
  while (length < a.length && a[length] === b[length]) length++;
  return b.length === 0 ? 0 : length / b.length;
}

for (const context of CONTEXTS) {
  const budget = context * PROMPT_SHARE;
  const points = [];
  let before = '';
  for (const number of NUMBERS) {
    const shown = shownAt(number);
    const from = performance.now();
    const prompt = buildPrompt(shown, budget);
    const milliseconds = performance.now() - from;
    const text = textOf(prompt);
    const shared = number % 10 === 5 ? sharedPart(before, text) : null;
    points.push({ number, tokens: prompt.tokens, shared, milliseconds });
    before = text;
  }
  const about = { context, budget };
  say('longest question', Math.max(...points.map(({ tokens }) => tokens)), 'tokens', about);
  say(
    'questions beyond the budget',
    points.filter(({ tokens }) => tokens > budget).length,
    `of ${points.length}`,
    about,
  );
  for (const at of [1, 10, 50, 100, 250, 500, 1000].filter((number) => number <= EXPERIMENTS)) {
    say(
      `question before experiment ${at}`,
      points.findLast(({ number }) => number <= at).tokens,
      'tokens',
      about,
    );
  }
  const shared = points.slice(1).flatMap((point) => point.shared ?? []);
  say('begins as the question before, median', 100 * median(shared), '% of its characters', about);
  say('making the last question', points.at(-1).milliseconds, 'ms', about);
  if (!curve) continue;
  const peak = Math.max(budget, ...points.map(({ tokens }) => tokens));
  for (const { number, tokens } of points.filter((_, index) => index % 8 === 0)) {
    console.error(
      `${String(number).padStart(5)} ${String(tokens).padStart(7)} ${'█'.repeat(Math.round((60 * tokens) / peak))}`,
    );
  }
}

const asked = study.records.map(({ number }) => {
  const kept = study.records.slice(0, number).findLast(({ verdict }) => verdict === 'keep')?.number ?? 0;
  return plateauOf(Math.max(0, number - 1 - kept), PLATEAU_AFTER);
});
say('longest stretch without a keep', Math.max(...asked.map(({ since }) => since)), 'experiments');
say('experiments in a plateau', asked.filter(({ approach }) => approach !== null).length, '');
for (const approach of new Set(asked.flatMap((each) => each.approach ?? []))) {
  say(`asked to ${approach}`, asked.filter((each) => each.approach === approach).length, 'experiments');
}
