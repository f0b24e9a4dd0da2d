/** One experiment: propose, apply, train and evaluate until the keep rule has a verdict, record. */
import { CancellationScope, setCurrentDetails, upsertSearchAttributes } from '@temporalio/workflow';
import type { ApplyInput, Proposed, ProposeInput, RecordInput, RepairInput } from '../activities/interface';
import type { Caps, Lane, TrainInput } from '../domain/run';
import {
  type ExperimentSummary,
  type Failure,
  type Reason,
  type Repair,
  type ScoredRun,
  type Seal,
} from '../domain/experiment';
import { detailsOr, experimentDetails } from '../domain/details';
import type { Limits } from '../domain/limits';
import { policyOf } from '../domain/policies';
import { crash, type Decision, type EvidenceRun, type Incumbent } from '../domain/policies/policy';
import { endsRequest, nextStep, type PlannedRun, type Trial } from '../domain/policies/trial';
import type { RunClass } from '../domain/run-class';
import type { StudyConfig } from '../domain/study';
import type { Waiting } from '../domain/waiting';
import { SCORE, VERDICT } from '../temporal/search-attributes';
import { apply, onLane, propose, record } from './activities';
import { stoppedOnCancel } from './end-work';
import { isSubmissionMissing } from './failures';

export interface ExperimentInput {
  study: StudyConfig;
  number: number;
  /** null for the baseline. */
  incumbent: Incumbent | null;
  /** Commit of experiment 0; null for that itself. */
  baseline: string | null;
  /** What people have said for this experiment. */
  waiting: Waiting;
  lane: Lane;
  caps: Caps;
  class: RunClass;
  seal: Seal;
  limits: Limits;
  /** What is left of each of them. */
  left: Limits;
}

export interface ExperimentDone {
  summary: ExperimentSummary;
  /** What it has taken in of what people said. */
  taken: Waiting;
}

/** One candidate: its commit, and what came of it. */
interface Tried {
  commit: string;
  decision: Decision;
  failure: Failure | null;
}

/** Crashes that a researcher may repair: not a rejected candidate, nor one that was killed from outside. */
const REPAIRABLE = new Set<Reason>(['error', 'timeout', 'oom', 'diverged', 'unscorable']);

/** How often a run is trained again when its submission is lost; more losses mean a broken host. */
const MAX_ROUNDS = 3;

/**
 * Runs experiment `number` to its record. A crash of the candidate is a verdict; what fails this workflow
 * is our own trouble. Cancelled, it leaves no record: the same number, with the same proposal and seeds,
 * is run again when the study resumes.
 */
export async function experiment(input: ExperimentInput): Promise<ExperimentDone> {
  const { study, number } = input;
  const result = await stoppedOnCancel({ study, experiment: number }, () => toItsVerdict(input));
  // A verdict that was reached is recorded, also when "stop now" comes just then.
  const { summary, taken } = await CancellationScope.nonCancellable(() =>
    record.executeWithOptions({ summary: `${result.decision.verdict}: ${result.decision.detail}` }, [result]),
  );
  upsertSearchAttributes([
    { key: VERDICT, value: summary.verdict },
    ...(summary.score === null ? [] : [{ key: SCORE, value: summary.score }]),
  ]);
  return { summary, taken };
}

async function toItsVerdict(input: ExperimentInput): Promise<RecordInput> {
  const { study, number, incumbent, waiting } = input;
  const startedAt = new Date().toISOString();
  const proposed = number === 0 ? null : await ask(input, null);
  const title = proposed?.title ?? 'baseline';
  const proposals = proposed === null ? [] : [proposed];
  const runs: ScoredRun[] = [];
  const show = (decision: Decision | null): void =>
    setCurrentDetails(
      detailsOr(() => experimentDetails({ study, number, title, incumbent, runs, decision })),
    );
  show(null);

  const tryOut = (repair: RepairInput | null): Promise<Tried> =>
    tryCandidate(input, { proposed: proposals.at(-1) ?? null, repair, title, startedAt, runs, show });
  let tried = await tryOut(null);
  const repairs: Repair[] = [];
  // A baseline that crashes is for its owner to mend.
  const mayRepair = number === 0 ? 0 : study.repairs;
  while (isRepairable(tried) && repairs.length < mayRepair) {
    const { commit, failure } = tried;
    const repair = { attempt: repairs.length + 1, commit, failure };
    const mended = await ask(input, repair);
    proposals.push(mended);
    if (mended.gaveUp !== null) break;
    repairs.push({ commit, failure });
    tried = await tryOut(repair);
  }
  const { commit, decision, failure } = tried;
  show(decision);

  return {
    study,
    number,
    commit,
    incumbent,
    proposals: proposals.map(({ proposal }) => proposal),
    taken: proposed?.taken ?? { ...waiting, hints: [] },
    decision,
    failure,
    runs,
    repairs,
    startedAt,
    finishedAt: new Date().toISOString(),
    dollars: proposals.at(-1)?.dollars ?? 0,
    seal: input.seal,
    class: input.class,
    limits: input.limits,
  };
}

function isRepairable(tried: Tried): tried is Tried & { failure: Failure } {
  return tried.failure !== null && REPAIRABLE.has(tried.failure.reason);
}

interface Attempt {
  proposed: Proposed | null;
  repair: RepairInput | null;
  title: string;
  startedAt: string;
  /** Of the experiment so far; this attempt's are added. */
  runs: ScoredRun[];
  show: (decision: Decision | null) => void;
}

/** Makes the candidate's commit, and trains and scores it until the keep rule has a verdict. */
async function tryCandidate(input: ExperimentInput, attempt: Attempt): Promise<Tried> {
  const { study, number, incumbent } = input;
  const change: ApplyInput = {
    study,
    number,
    incumbent: incumbent?.commit ?? study.base,
    proposal: attempt.proposed?.proposal ?? null,
    repair: attempt.repair,
    at: attempt.startedAt,
  };
  const { commit, failure } = await apply.executeWithOptions({ summary: `#${number} ${attempt.title}` }, [
    change,
  ]);
  if (failure !== null) return { commit, decision: crash(failure), failure };
  const decision = await judge(input, commit, attempt);
  const crashed = attempt.runs.findLast((run) => run.commit === commit && run.failure !== null);
  return { commit, decision, failure: decision.verdict === 'crash' ? (crashed?.failure ?? null) : null };
}

/** Does the runs that the study's policy asks for, until it decides. */
async function judge(input: ExperimentInput, candidate: string, { runs, show }: Attempt): Promise<Decision> {
  const { study, number, incumbent, baseline } = input;
  const { tag, direction } = study;
  const policy = policyOf(study.policy);
  // Runs of a candidate that crashed say nothing of the one that repairs it.
  const runsBefore = runs.length;
  const trial: Trial = { tag, number, direction, candidate, incumbent, baseline, runsBefore };
  for (;;) {
    const step = nextStep(policy, trial, evidenceOf(runs.slice(runsBefore)));
    if ('decision' in step) return step.decision;
    // One after the other: the study has one lane.
    for (const planned of step.runs) {
      const run = await trainAndScore(input, planned);
      runs.push(run);
      show(null);
      if (endsRequest(run)) break;
    }
  }
}

const evidenceOf = (runs: readonly ScoredRun[]): EvidenceRun[] =>
  runs.map(({ arm, commit, seed, split, score, failure, class: runClass }) => ({
    arm,
    commit,
    seed,
    split,
    score,
    failure,
    class: runClass,
  }));

/** Does one run. A host may lose a submission before it is scored: then the run is done again, with the same seed. */
async function trainAndScore(
  { study, number, lane, caps, class: runClass }: ExperimentInput,
  { run, arm, commit, seed, split }: PlannedRun,
): Promise<ScoredRun> {
  const device = onLane(lane.queue, study.budget, caps);
  const { budget } = study;
  const task: TrainInput = {
    study,
    number,
    run,
    commit,
    seed,
    split,
    budget,
    device: lane.device,
    class: runClass,
  };
  const whose = arm === 'candidate' ? '' : ` of the ${arm}`;
  const summary = `#${number} run ${run}${whose} · seed ${seed} · ${commit.slice(0, 7)}`;
  for (let round = 1; ; round++) {
    const trained = await device.train.executeWithOptions({ summary }, [task]);
    try {
      const scored =
        trained.failure === null ? await device.evaluate.executeWithOptions({ summary }, [task]) : null;
      const score = scored?.score ?? null;
      return {
        ...trained,
        arm,
        commit,
        split,
        failure: trained.failure ?? scored?.failure ?? null,
        class: runClass,
        score,
        metrics: {
          ...trained.metrics,
          ...scored?.metrics,
          ...(score === null ? {} : { [study.metric]: score }),
        },
        scoreSeconds: scored?.scoreSeconds ?? 0,
        scoreWallSeconds: scored?.wallSeconds ?? 0,
      };
    } catch (error) {
      if (!isSubmissionMissing(error) || round === MAX_ROUNDS) throw error;
    }
  }
}

function ask(input: ExperimentInput, repair: RepairInput | null): Promise<Proposed> {
  const { study, number, incumbent, waiting, left } = input;
  const request: ProposeInput = {
    study,
    number,
    incumbent: incumbent?.commit ?? study.base,
    waiting,
    left,
    repair,
  };
  const what = repair === null ? 'a change' : `repair ${repair.attempt} of ${study.repairs}`;
  return propose.executeWithOptions({ summary: `#${number} ${what}, by ${study.researcher}` }, [request]);
}
