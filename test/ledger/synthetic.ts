/** Ledgers of studies that never ran, as long as one likes: for what depends on how much there is to remember. */
import type { ExperimentRecord, Reason, Research } from '../../src/domain/experiment';
import { DEFAULT_POLICY } from '../../src/domain/policies/choice';
import { APPROACHES } from '../../src/domain/experiment';

export interface SyntheticStudy {
  records: ExperimentRecord[];
  /** What each commit changed, as a patch. */
  patches: ReadonlyMap<string, string>;
  /** The editable file at each commit; every tenth or so is an earlier one in other words. */
  files: ReadonlyMap<string, string>;
  /** Numbers of experiments that repeat an earlier one, and which. */
  repeats: ReadonlyMap<number, number>;
}

const KNOBS = [
  'MATRIX_LR',
  'HEAD_LR',
  'WARMUP',
  'WARMDOWN',
  'MOMENTUM',
  'WEIGHT_DECAY',
  'MLP_RATIO',
  'ROPE_BASE',
];
const WORDS =
  'attention residual gate value embedding schedule momentum decay wider deeper head norm scale warmup window rotary batch merge clip orthogonal init bias drop query key layer'.split(
    ' ',
  );
const CRASHES: Reason[] = ['oom', 'error', 'diverged', 'timeout', 'rejected'];
const START = Date.parse('2026-11-21T00:00:00Z');
const MINUTES = 6;

/** Numbers in [0, 1) that follow from the seed (mulberry32). */
function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/**
 * @param base the editable file of the baseline: constants, one a line, and code
 * Keeps grow rarer; a tenth crashes; a twentieth repeats; ideas and lessons come as a model gives them.
 */
export function syntheticStudy(
  experiments: number,
  base: string,
  seed = 1,
  path = 'train.py',
): SyntheticStudy {
  const draw = generator(seed);
  const pick = <T>(list: readonly T[]): T => list[Math.floor(draw() * list.length)]!;
  const phrase = (words: number) => Array.from({ length: words }, () => pick(WORDS)).join(' ');
  const records: ExperimentRecord[] = [];
  const patches = new Map<string, string>();
  const files = new Map<string, string>();
  const repeats = new Map<number, number>();
  let incumbent = { commit: hashOf(0), score: 1.2, file: base };
  for (let number = 0; number < experiments; number++) {
    const commit = hashOf(number);
    const earlier = number > 20 && draw() < 0.05 ? 1 + Math.floor(draw() * (number - 1)) : null;
    const added = `def step_${number}(x):\n    twisted = x * ${(0.5 + draw()).toFixed(4)}  # ${phrase(4)}\n    return twisted + ${number}\n`;
    const file =
      number === 0
        ? base
        : earlier === null
          ? `${incumbent.file}\n${added}`
          : inOtherWords(files.get(hashOf(earlier)) ?? base, number);
    if (earlier !== null) repeats.set(number, earlier);
    files.set(commit, file);
    patches.set(commit, patchOf(path, number === 0 ? '' : added));
    const crashed = number > 0 && draw() < 0.1;
    const kept = number === 0 || (!crashed && earlier === null && draw() < 0.25 / (1 + number / 60) + 0.01);
    const score = crashed
      ? null
      : number === 0
        ? incumbent.score
        : incumbent.score * (kept ? 1 - 0.004 * draw() : 1 + 0.01 * draw());
    const reason: Reason = crashed
      ? pick(CRASHES)
      : kept
        ? number === 0
          ? 'baseline'
          : 'better'
        : 'not-better';
    const failure = crashed
      ? { reason: reason as 'oom', message: `${phrase(3)}: ${phrase(8)}`, tail: `${phrase(12)}\n`.repeat(20) }
      : null;
    const open = records.flatMap(({ ideas }) => ideas).slice(-20);
    records.push({
      format: 2,
      study: 'synthetic',
      number,
      commit,
      incumbent: incumbent.commit,
      researcher: number === 0 ? 'baseline' : 'claude',
      title: number === 0 ? 'baseline' : `${phrase(3 + Math.floor(draw() * 8))} #${number}`,
      hypothesis: number === 0 ? '' : `${phrase(20 + Math.floor(draw() * 40))}.`,
      research:
        number === 0
          ? null
          : ({
              expected: phrase(6),
              knobs: draw() < 0.6 ? [pick(KNOBS)] : [],
              program: 'f'.repeat(64),
              meaning: null,
              hints: draw() < 0.02 ? [phrase(12)] : [],
              idea: open.length > 0 && draw() < 0.4 ? pick(open).id : null,
              lessons:
                number % 10 === 0 ? Array.from({ length: 12 }, () => `${phrase(18)} (#${number})`) : null,
              ranges: [],
              approach: draw() < 0.1 ? pick(APPROACHES) : null,
              usage: null,
              dearestCall: null,
              assumed: null,
            } satisfies Research),
      ideas: Array.from({ length: Math.floor(draw() * 3) }, (_, index) => ({
        id: `${number}.${index + 1}`,
        text: phrase(10 + Math.floor(draw() * 25)),
        from: draw() < 0.03 ? ('human' as const) : ('researcher' as const),
      })),
      droppedIdeas: [],
      verdict: crashed ? 'crash' : kept ? 'keep' : 'discard',
      reason,
      detail: phrase(6),
      failure,
      score,
      incumbentScore: number === 0 ? null : incumbent.score,
      runs: [],
      repairs: [],
      repeatsRefused: 0,
      policy: DEFAULT_POLICY,
      budget: { seconds: 300 },
      startedAt: new Date(START + number * MINUTES * 60_000).toISOString(),
      finishedAt: new Date(START + (number + 1) * MINUTES * 60_000).toISOString(),
      dollars: 0.1,
      gpuDollars: 0,
      seal: 'graph',
      class: { device: 'cuda:0', torch: '2.15', lab: 'lab', data: 'data' },
    });
    if (kept && score !== null) incumbent = { commit, score, file };
  }
  return { records, patches, files, repeats };
}

const hashOf = (number: number): string => number.toString(16).padStart(40, '0');

/** The same code, laid out, commented and named in another way. */
function inOtherWords(file: string, number: number): string {
  return `# another way to say it, ${number}\n${file.replaceAll('twisted', `other_${number}`).replaceAll('\n\n', '\n\n\n')}`;
}

function patchOf(path: string, added: string): string {
  const lines = added
    .split('\n')
    .map((line) => `+${line}`)
    .join('\n');
  return `diff --git a/${path} b/${path}\n--- a/${path}\n+++ b/${path}\n@@ -600,3 +600,8 @@\n${lines}\n`;
}
