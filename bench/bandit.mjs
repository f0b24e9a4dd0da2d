/**
 * Compares the hybrid's bandit with each researcher alone, with alternation and with the best choice in hindsight, for two researchers
 * with known payoffs: relative gain per dollar, device time included, mean of many studies. One JSON line per figure.
 *
 *     npm run build && node bench/bandit.mjs [STUDIES] [EXPERIMENTS]
 */
import { createRequire } from 'node:module';
import { round } from './long-life/figures.mjs';

const [STUDIES = 200, EXPERIMENTS = 200] = process.argv.slice(2).map(Number);

const require = createRequire(import.meta.url);
const { askingOrder, shares } = require('../dist/domain/bandit.js');
const { runSeed } = require('../dist/domain/seed.js');

const ARMS = [
  { name: 'claude', costsDollars: true },
  { name: 'tpe', costsDollars: false },
];
/** A run of five minutes on the device; a proposal by a model costs as much again. */
const SECONDS = 330;
const DOLLARS = { claude: 0.2, tpe: 0 };

/** Chance of a keep and its relative gain, by arm, in the `part` of the study that is over. */
const WORLDS = {
  'tpe pays more, 2.3 times': () => ({ claude: [0.1, 0.004], tpe: [0.15, 0.003] }),
  'claude pays more, 3.5 times': () => ({ claude: [0.3, 0.006], tpe: [0.1, 0.0025] }),
  'both pay the same': () => ({ claude: [0.2, 0.004], tpe: [0.1, 0.0038] }),
  'claude early, tpe late': (part) =>
    part < 0.5 ? { claude: [0.3, 0.006], tpe: [0.1, 0.0025] } : { claude: [0.02, 0.002], tpe: [0.15, 0.003] },
  'tpe early, claude late': (part) =>
    part < 0.5
      ? { claude: [0.05, 0.003], tpe: [0.25, 0.004] }
      : { claude: [0.25, 0.006], tpe: [0.01, 0.001] },
};

const POLICIES = {
  bandit: (tag, number, records) => askingOrder(ARMS, records, 'minimize', { tag, number })[0].name,
  turns: (_tag, number) => ARMS[number % 2].name,
  'claude alone': () => 'claude',
  'tpe alone': () => 'tpe',
};

const unit = (tag, number, run) => runSeed(tag, number, run) / 2 ** 31;
const say = (world, policy, figure, value, of) =>
  console.log(JSON.stringify({ bench: 'bandit', world, policy, figure, value: round(value), unit: of }));
const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

function study(tag, world, policy) {
  const records = [];
  for (let number = 1; number <= EXPERIMENTS; number++) {
    const researcher = policy(tag, number, records);
    const [chance, gain] = world(number / EXPERIMENTS)[researcher];
    const keep = unit(tag, number, 1) < chance;
    const incumbentScore = 1;
    records.push({
      number,
      researcher,
      verdict: keep ? 'keep' : 'discard',
      score: keep ? incumbentScore - gain * 2 * unit(tag, number, 2) : incumbentScore,
      incumbentScore,
      runs: [{ wallSeconds: SECONDS, scoreWallSeconds: 0 }],
      dollars: DOLLARS[researcher],
      gpuDollars: 0,
    });
  }
  return records;
}

const gainOf = (records) =>
  records.reduce((sum, { score, incumbentScore }) => sum + incumbentScore - score, 0);
const costOf = (records) =>
  records.reduce((sum, { dollars, runs }) => sum + dollars + (runs[0].wallSeconds / 3600) * 2, 0);
const shareOf = (records, name) => mean(records.map(({ researcher }) => Number(researcher === name)));

for (const [name, world] of Object.entries(WORLDS)) {
  for (const [policy, choose] of Object.entries(POLICIES)) {
    const studies = Array.from({ length: STUDIES }, (_, index) => study(`study-${index}`, world, choose));
    say(
      name,
      policy,
      'gain for each dollar',
      mean(studies.map((each) => gainOf(each) / costOf(each))) * 100,
      '% of the score',
    );
    if (policy !== 'bandit') continue;
    const half = EXPERIMENTS / 2;
    say(
      name,
      policy,
      'share of tpe, first half',
      mean(studies.map((each) => shareOf(each.slice(0, half), 'tpe'))),
      '',
    );
    say(
      name,
      policy,
      'share of tpe, second half',
      mean(studies.map((each) => shareOf(each.slice(half), 'tpe'))),
      '',
    );
    say(
      name,
      policy,
      'share of tpe at the end',
      mean(studies.map((each) => shares(ARMS, each, 'minimize')[1])),
      '',
    );
  }
}
