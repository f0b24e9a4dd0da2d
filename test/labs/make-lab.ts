/** Labs, studies and records for tests: real repositories in a temporary folder that is gone after each file. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { UNLIMITED } from '../../src/domain/limits';
import type { ExperimentRecord, ScoredRun } from '../../src/domain/experiment';
import { LATER_SETTINGS, type StudyConfig } from '../../src/domain/study';
import { Git } from '../../src/ledger/git';
import { labId } from '../../src/process/paths';

const folder = realpathSync(mkdtempSync(join(tmpdir(), 'autoresearch-test-')));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

let made = 0;

/** A new folder of this test file's own. */
export function temporary(name = 'folder'): string {
  const path = join(folder, `${name}-${made++}`);
  mkdirSync(path);
  return path;
}

export const LAB_YAML = `
version: 1
name: tiny
metric: { name: val_bpb, direction: minimize }
editable: [train.py, src/model.py]
locked: [lab.yaml, score.py, prepare.py]
data: { prepare: [python, prepare.py] }
train: { command: [python, train.py] }
score: { command: [python, score.py] }
caps: { edit_bytes: 10000 }
`;

export const TRAIN_PY = 'LEARNING_RATE = 0.1  # per step\nDEPTH = 2  # layers\nprint(LEARNING_RATE, DEPTH)\n';

export const FILES: Record<string, string> = {
  'lab.yaml': LAB_YAML,
  'program.md': '# Make it better\n',
  'train.py': TRAIN_PY,
  'src/model.py': 'WIDTH = 8\n',
  'score.py': 'print("score")\n',
  'prepare.py': 'print("prepare")\n',
  '.gitignore': '*.pyc\n',
};

/** git as a user would run it, with an identity of its own, and one date: equal labs have equal hashes. */
export function git(directory: string, ...args: string[]): string {
  const identity = ['-c', 'user.name=user', '-c', 'user.email=user@localhost', '-c', 'commit.gpgSign=false'];
  const date = '2026-11-20T12:00:00Z';
  const env = {
    ...process.env,
    GIT_CONFIG_GLOBAL: '/dev/null',
    GIT_AUTHOR_DATE: date,
    GIT_COMMITTER_DATE: date,
  };
  return execFileSync('git', [...identity, ...args], {
    cwd: directory,
    env,
    encoding: 'utf8',
    stdio: 'pipe',
  }).trimEnd();
}

export function write(directory: string, files: Record<string, string>): void {
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(directory, path)), { recursive: true });
    writeFileSync(join(directory, path), content);
  }
}

/** A lab of one commit on `main`. */
export function makeLab(files: Record<string, string> = FILES): { root: string; git: Git; base: string } {
  const root = temporary('lab');
  git(root, 'init', '--quiet', '--initial-branch=main');
  write(root, files);
  git(root, 'add', '--all');
  git(root, 'commit', '--quiet', '--message', 'Begin');
  return { root, git: new Git(root), base: git(root, 'rev-parse', 'HEAD') };
}

export function makeStudy(root: string, base: string, tag = 'nov21'): StudyConfig {
  return {
    format: 2,
    tag,
    workflowId: `study-${tag}`,
    lab: root,
    labId: labId(root),
    researcher: 'tpe',
    researcherCommand: null,
    budget: { steps: 10 },
    limits: UNLIMITED,
    metric: 'val_bpb',
    direction: 'minimize',
    base,
    createdAt: '2026-11-21T00:00:00.000Z',
    ...LATER_SETTINGS,
  };
}

const CLASS = { device: 'cpu', torch: '2.15', lab: 'lab', data: 'data' };

export function makeRun(score: number | null): ScoredRun {
  const failure = score === null ? { reason: 'oom' as const, message: 'out of memory', tail: '' } : null;
  return {
    arm: 'candidate',
    commit: 'a'.repeat(40),
    split: 'val',
    seed: 1,
    attempts: 1,
    failure,
    class: CLASS,
    metrics: {
      steps: 10,
      tokens: 2560,
      dataWaitSeconds: 0,
      peakMemoryMb: 1536,
      lastLoss: 2.5,
      parameters: 1000,
    },
    trainSeconds: 3,
    wallSeconds: 5,
    startupSeconds: 1,
    startupGpuSeconds: null,
    initialWeights: null,
    weights: null,
    sameWeightsAsSeed: null,
    sandbox: 'bubblewrap',
    device: 'cpu',
    score,
    scoreSeconds: 1,
    scoreWallSeconds: 2,
  };
}

export function makeRecord(
  study: StudyConfig,
  number: number,
  change: Partial<ExperimentRecord> = {},
): ExperimentRecord {
  const commit = change.commit ?? number.toString(16).padStart(40, 'a');
  const score = change.score === undefined ? 2 - number / 1000 : change.score;
  return {
    format: 2,
    study: study.tag,
    number,
    commit,
    incumbent: study.base,
    researcher: number === 0 ? 'baseline' : study.researcher,
    title: number === 0 ? 'baseline' : `change ${number}`,
    hypothesis: 'it helps',
    research: null,
    ideas: [],
    droppedIdeas: [],
    verdict: 'keep',
    reason: number === 0 ? 'baseline' : 'better',
    detail: 'better',
    failure: null,
    score,
    incumbentScore: null,
    runs: [{ ...makeRun(score), commit }],
    repairs: [],
    repeatsRefused: 0,
    policy: study.policy,
    budget: study.budget,
    startedAt: '2026-11-21T00:00:00.000Z',
    finishedAt: '2026-11-21T00:00:10.000Z',
    dollars: 0,
    gpuDollars: 0,
    seal: 'graph',
    class: CLASS,
    ...change,
  };
}
