/** Snapshots of a study for tests: what a workflow would say, without one. */
import type { ExperimentSummary } from '../../src/domain/experiment';
import { studyStatus } from '../../src/domain/status';
import { LATER_SETTINGS, rebuild, type StudyConfig } from '../../src/domain/study';
import { UNLIMITED } from '../../src/domain/limits';
import type { CurrentExperiment, PendingActivity, Snapshot } from '../../src/studies/snapshot';

export const CONFIG: StudyConfig = {
  format: 2,
  tag: 'nov21',
  workflowId: 'study-nov21',
  lab: '/home/me/lab',
  labId: '01234567',
  researcher: 'tpe',
  researcherCommand: null,
  budget: { seconds: 300 },
  limits: UNLIMITED,
  metric: 'val_bpb',
  direction: 'minimize',
  base: 'b'.repeat(40),
  createdAt: '2026-11-21T00:00:00.000Z',
  ...LATER_SETTINGS,
};

export function summary(number: number, change: Partial<ExperimentSummary> = {}): ExperimentSummary {
  const isBaseline = number === 0;
  return {
    number,
    commit: `${number}`.padEnd(40, 'c'),
    verdict: isBaseline ? 'keep' : 'discard',
    reason: isBaseline ? 'baseline' : 'not-better',
    score: 2,
    scores: [2],
    incumbentScores: [],
    title: isBaseline ? 'baseline' : `change ${number}`,
    gpuSeconds: 320,
    seconds: 330,
    dollars: 0,
    assumed: null,
    ...change,
  };
}

export function activity(name: string, change: Partial<PendingActivity> = {}): PendingActivity {
  return { name, isWaiting: false, attempt: 1, next: null, lastFailure: null, progress: null, ...change };
}

interface Moment extends Partial<Omit<Snapshot, 'study'>> {
  experiments?: ExperimentSummary[];
  phase?: Snapshot['study']['phase'];
  reason?: string | null;
  current?: CurrentExperiment | null;
}

export function snapshot({
  experiments = [],
  phase = 'running',
  reason = null,
  ...rest
}: Moment = {}): Snapshot {
  const state = rebuild(UNLIMITED, experiments);
  return {
    source: 'workflow',
    study: { ...studyStatus(CONFIG, state, 'running', rest.current?.number ?? null), phase, reason },
    current: null,
    proposing: { settled: 0, assumed: null, aside: null },
    opening: null,
    sandbox: 'bubblewrap',
    link: 'http://127.0.0.1:8233/namespaces/default/workflows/study-nov21',
    failing: null,
    problem: null,
    ...rest,
  };
}
