/** One experiment: propose, apply, train and evaluate until the keep rule has a verdict, record. */
import { CancellationScope, setCurrentDetails, upsertSearchAttributes } from '@temporalio/workflow';
import type { ApplyInput, Caps, Lane, RecordInput, TrainInput } from '../activities/interface';
import {
  experimentName,
  type Fingerprint,
  type ExperimentSummary,
  type ScoredRun,
} from '../domain/experiment';
import { experimentDetails } from '../domain/details';
import type { Limits } from '../domain/limits';
import { crash, greedy, type Decision, type Incumbent } from '../domain/policy';
import { runSeed } from '../domain/seed';
import type { StudyConfig } from '../domain/study';
import { SCORE, VERDICT } from '../temporal/search-attributes';
import { apply, onLane, propose, record } from './activities';

export interface ExperimentInput {
  study: StudyConfig;
  number: number;
  /** null for the baseline. */
  incumbent: Incumbent | null;
  hints: string[];
  lane: Lane;
  caps: Caps;
  fingerprint: Fingerprint;
  limits: Limits;
}

/**
 * Runs experiment `number` to its record. A crash of the candidate is a verdict; what fails this workflow
 * is our own trouble. Cancelled, it leaves no record: the same number, with the same proposal and seeds,
 * is run again when the study resumes.
 */
export async function experiment(input: ExperimentInput): Promise<ExperimentSummary> {
  const { study, number, incumbent } = input;
  const startedAt = new Date().toISOString();
  const parent = incumbent?.commit ?? study.base;

  const proposed = number === 0 ? null : await ask(input, parent);
  const title = proposed?.title ?? 'baseline';
  const showRuns = (runs: ScoredRun[]) =>
    setCurrentDetails(experimentDetails({ study, number, title, incumbent, runs, decision: null }));
  showRuns([]);

  const change: ApplyInput = {
    study,
    number,
    incumbent: parent,
    proposal: proposed?.proposal ?? null,
    at: startedAt,
  };
  const { commit, failure: rejected } = await apply.executeWithOptions({ summary: `#${number} ${title}` }, [
    change,
  ]);

  const runs: ScoredRun[] = [];
  const decision = rejected === null ? await judge(input, commit, runs, showRuns) : crash(rejected);
  setCurrentDetails(experimentDetails({ study, number, title, incumbent, runs, decision }));

  const finishedAt = new Date().toISOString();
  const dollars = proposed?.dollars ?? 0;
  const result: RecordInput = {
    study,
    number,
    commit,
    incumbent,
    proposal: proposed?.proposal ?? null,
    decision,
    failure: rejected ?? runs.at(-1)?.failure ?? null,
    runs,
    startedAt,
    finishedAt,
    dollars,
    fingerprint: input.fingerprint,
    limits: input.limits,
  };
  // A verdict that was reached is recorded, also when "stop now" comes just then.
  const { summary } = await CancellationScope.nonCancellable(() =>
    record.executeWithOptions({ summary: `${decision.verdict}: ${decision.detail}` }, [result]),
  );
  upsertSearchAttributes([
    { key: VERDICT, value: summary.verdict },
    ...(summary.score === null ? [] : [{ key: SCORE, value: summary.score }]),
  ]);
  return summary;
}

/** Trains and scores on lab-chosen seeds for as long as the policy asks for another run; `runs` fills as it goes. */
async function judge(
  { study, number, incumbent, lane, caps }: ExperimentInput,
  commit: string,
  runs: ScoredRun[],
  show: (runs: ScoredRun[]) => void,
): Promise<Decision> {
  const device = onLane(lane.queue, study.budget, caps);
  for (;;) {
    const ruling = greedy({ direction: study.direction, incumbent, runs });
    if (ruling !== 'another-run') return ruling;
    const run = runs.length + 1;
    const seed = runSeed(study.tag, number, run);
    const task: TrainInput = { study, number, run, commit, seed, budget: study.budget, device: lane.device };
    const summary = `#${number} run ${run} · seed ${seed} · ${commit.slice(0, 7)}`;
    const trained = await device.train.executeWithOptions({ summary }, [task]);
    const scored =
      trained.failure === null ? await device.evaluate.executeWithOptions({ summary }, [task]) : null;
    runs.push({
      ...trained,
      failure: trained.failure ?? scored?.failure ?? null,
      score: scored?.score ?? null,
      scoreSeconds: scored?.scoreSeconds ?? 0,
      scoreWallSeconds: scored?.wallSeconds ?? 0,
      parameters: scored?.parameters ?? 0,
    });
    show(runs);
  }
}

function ask({ study, number, hints }: ExperimentInput, incumbent: string) {
  const { researcher, researcherCommand } = study;
  const request = { study, number, researcher, researcherCommand, incumbent, hints };
  return propose.executeWithOptions({ summary: `${researcher} proposes #${experimentName(number)}` }, [
    request,
  ]);
}
