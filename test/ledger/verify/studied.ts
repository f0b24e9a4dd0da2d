/** A study as its activities leave it in git: proposals, candidates, records, branch. Nothing is trained. */
import { cpSync } from 'node:fs';
import { createApply } from '../../../src/activities/apply';
import { createRecord } from '../../../src/activities/record';
import type { Verdict } from '../../../src/domain/experiment';
import type { Incumbent } from '../../../src/domain/policies/policy';
import { runSeed } from '../../../src/domain/seed';
import type { StudyConfig } from '../../../src/domain/study';
import { storeProposal } from '../../../src/ledger/proposals';
import { Git } from '../../../src/ledger/git';
import { openLedger } from '../../../src/ledger/ledger';
import { baseRef } from '../../../src/ledger/refs';
import { makeLab, makeRun, makeStudy, temporary } from '../../labs/make-lab';

export interface Studied {
  root: string;
  git: Git;
  study: StudyConfig;
  /** Of the experiments, by number. */
  commits: string[];
}

const REASONS = { keep: 'better', discard: 'not-better', crash: 'oom' } as const;

const made = new Map<string, Promise<Studied>>();

/** One experiment for each verdict, the baseline first. Made once, and then copied: it takes many git processes. */
export async function studied(verdicts: readonly Verdict[], tag = 'nov21'): Promise<Studied> {
  const key = [tag, ...verdicts].join(' ');
  const first = made.get(key) ?? make(verdicts, tag);
  made.set(key, first);
  const { root, study, commits } = await first;
  const copy = temporary('studied');
  cpSync(root, copy, { recursive: true });
  return { root: copy, git: new Git(copy), study: { ...study, lab: copy }, commits };
}

async function make(verdicts: readonly Verdict[], tag: string): Promise<Studied> {
  const { root, git, base } = makeLab();
  const study = makeStudy(root, base, tag);
  await git.moveRef(baseRef(tag), base, null);
  await openLedger(git, study);
  const commits: string[] = [];
  let incumbent: Incumbent | null = null;
  for (const [number, verdict] of verdicts.entries()) {
    const proposal = number === 0 ? null : await propose(git, tag, number);
    const at = new Date(Date.parse(study.createdAt) + number * 60_000).toISOString();
    const parent: string = incumbent?.commit ?? base;
    const { commit } = await createApply()({ study, number, incumbent: parent, proposal, repair: null, at });
    const score = { crash: null, keep: 2 - number / 1000, discard: 2 + number / 1000 }[verdict];
    const run = { ...makeRun(score), commit, seed: runSeed(tag, number, 1) };
    const reason = verdict === 'keep' && (incumbent?.score ?? null) === null ? 'baseline' : REASONS[verdict];
    await createRecord({ cleanUp: () => Promise.resolve() })({
      study,
      number,
      commit,
      incumbent,
      proposals: proposal === null ? [] : [proposal],
      taken: study.waiting,
      repairs: [],
      decision: { verdict, reason, score, detail: `it is ${verdict}` },
      failure: run.failure,
      runs: [run],
      startedAt: at,
      finishedAt: at,
      dollars: 0,
      seal: 'graph',
      class: { device: 'cpu', torch: '2.15', lab: 'lab', data: 'data' },
      limits: study.limits,
    });
    commits.push(commit);
    if (verdict === 'keep' || number === 0)
      incumbent = { commit, experiment: number, score, scores: score === null ? [] : [score] };
  }
  return { root, git, study, commits };
}

export function propose(git: Git, tag: string, number: number): Promise<string> {
  const content = `LEARNING_RATE = 0.${number}\n`;
  const edits = [{ path: 'train.py', content }];
  return storeProposal(git, tag, number, { format: 1, title: `rate ${number}`, hypothesis: 'faster', edits });
}
