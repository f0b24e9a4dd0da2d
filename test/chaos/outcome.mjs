/** What a study has come to, read with plain git and plain files, and what differs from the undisturbed one. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { startsOf } from './runs.mjs';
import { LEDGER, TAG } from './study.mjs';

/** A runner that is killed has last said how long it ran up to 5 s before: no repeated run counts as free. */
const UNKNOWN_SECONDS = 1;

/** Each installation has its own. */
const PATHS = /\/[^\s;]+/gu;

/** Everything that a disturbance must not change: no times, no commit hashes (they hold dates). */
export function outcomeOf(study) {
  const files = study.git('ls-tree', '--name-only', `${LEDGER}:experiments`).split('\n');
  const records = files.map((file) => JSON.parse(study.git('show', `${LEDGER}:experiments/${file}`)));
  const numberOf = new Map(records.map(({ commit, number }) => [commit, number]));
  return records.map((record) => ({
    number: record.number,
    title: record.title,
    hypothesis: record.hypothesis,
    tree: study.git('rev-parse', `${record.commit}^{tree}`),
    parent: numberOf.get(study.git('rev-parse', `${record.commit}^`)) ?? 'base',
    incumbent: numberOf.get(record.incumbent) ?? 'base',
    verdict: record.verdict,
    reason: record.reason,
    detail: record.detail.replaceAll(PATHS, '…'),
    score: record.score,
    incumbentScore: record.incumbentScore,
    runs: record.runs.map((run) => ({
      seed: run.seed,
      steps: run.metrics.steps,
      tokens: run.metrics.tokens,
      lastLoss: run.lastLoss,
      initialWeights: run.initialWeights,
      weights: run.weights,
      score: run.score,
      failure: run.failure?.reason ?? null,
    })),
  }));
}

/** @returns {{ lost: string[], double: string[] }} one line a difference */
export function compare(study, reference) {
  const lost = [];
  const double = [];
  const found = outcomeOf(study);
  for (const wanted of reference) {
    const own = found[wanted.number];
    if (own === undefined) lost.push(`experiment ${wanted.number} has no record`);
    else
      for (const key of Object.keys(wanted)) {
        const [is, be] = [JSON.stringify(own[key]), JSON.stringify(wanted[key])];
        if (is !== be) lost.push(`experiment ${wanted.number}: ${key} is ${is}, undisturbed ${be}`);
      }
  }
  if (found.length > reference.length)
    double.push(`${found.length} records of ${reference.length} experiments`);
  const rows = study.git('show', `${LEDGER}:results.tsv`).split('\n').slice(1);
  const commits = Number(study.git('rev-list', '--count', LEDGER)) - 1;
  if (rows.length !== reference.length)
    double.push(`results.tsv has ${rows.length} rows of ${reference.length} experiments`);
  if (commits !== reference.length)
    double.push(`the ledger has ${commits} commits of ${reference.length} experiments`);
  const kept = reference.filter(({ verdict }) => verdict === 'keep').length;
  const onBranch = Number(study.git('rev-list', '--count', `main..autoresearch/${TAG}`));
  if (onBranch !== kept) double.push(`the branch has ${onBranch} commits, ${kept} were kept`);
  if (study.git('status', '--porcelain') !== '') lost.push("the user's working tree is not clean any more");
  return { lost, double };
}

/**
 * Seconds that a device was held for a run that had been begun before, without its runner or trainer having been
 * struck: what a kill of worker or server has cost.
 * @param {Map<string, number>} struck attempts that were struck, and how often
 * @returns {{ train: number, score: number, repeated: string[] }}
 */
export function secondsSpentTwice(study, struck) {
  const spent = { train: 0, score: 0, repeated: [] };
  const starts = startsOf(study);
  for (const [attempt, begun] of starts) {
    const [, run, kind, nth] = /^(.*\/(train|score)-)(\d+)$/u.exec(attempt);
    const isLast = !starts.has(`${run}${Number(nth) + 1}`);
    // The last one is the one that counts; of one that was struck nothing else could be expected.
    const wasted = begun - (struck.get(attempt) ?? 0) - Number(isLast);
    if (wasted <= 0) continue;
    spent[kind] += wasted * Math.max(wallSeconds(attempt), UNKNOWN_SECONDS);
    spent.repeated.push(`${attempt.split('/runs/')[1]} was begun ${begun} times`);
  }
  return spent;
}

/** 0 where nobody says it any more. */
function wallSeconds(attempt) {
  try {
    return JSON.parse(readFileSync(join(attempt, 'status.json'), 'utf8')).wallSeconds ?? 0;
  } catch {
    return 0;
  }
}
