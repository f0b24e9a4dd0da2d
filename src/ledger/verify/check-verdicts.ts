/** Each verdict again: does the study's policy ask for the runs that were recorded, and decide as the record says? */
import type { ExperimentRecord, ScoredRun } from '../../domain/experiment';
import { summarize } from '../../domain/experiment';
import { policyOf } from '../../domain/policies';
import { crash, nextIncumbent, type Decision, type Incumbent } from '../../domain/policies/policy';
import { endsRequest, nextStep, type PlannedRun, type Trial } from '../../domain/policies/trial';
import type { StudyInGit } from './read';

export interface VerdictDifference {
  number: number;
  what: string;
}

/** Looks at the records up to the first that is missing: without it nobody knows the incumbent. */
export function checkVerdicts({ study, records }: StudyInGit): VerdictDifference[] {
  if (study === null) return [];
  const found: VerdictDifference[] = [];
  let incumbent: Incumbent | null = null;
  for (const [index, record] of records.entries()) {
    const { number } = record;
    if (number !== index) break;
    const baseline = number === 0 ? null : (records[0]?.commit ?? null);
    const trial = { tag: study.tag, number, direction: study.direction, incumbent, baseline };
    found.push(...judgeAgain(record, trial).map((what) => ({ number, what })));
    incumbent = nextIncumbent(incumbent, summarize(record));
  }
  return found;
}

function judgeAgain(record: ExperimentRecord, of: Omit<Trial, 'candidate' | 'runsBefore'>): string[] {
  const { number, runs, repairs } = record;
  const candidates = [...repairs, { commit: record.commit, failure: record.failure }];
  const what: string[] = [];
  let runsBefore = 0;
  for (const [index, { commit, failure }] of candidates.entries()) {
    const trial = { ...of, candidate: commit, runsBefore };
    const own = runs.slice(runsBefore);
    // Refused before any run: no policy was asked.
    const judged: Judged =
      own.length === 0 && failure !== null
        ? { decision: crash(failure), runs: 0, problems: [] }
        : judge(record, trial, own);
    what.push(...judged.problems);
    if (judged.decision === null) return what;
    runsBefore += judged.runs;
    const isLast = index === candidates.length - 1;
    if (!isLast && judged.decision.verdict !== 'crash')
      what.push(`candidate ${index + 1} of experiment ${number} was repaired; by its runs it did not crash`);
    if (isLast) what.push(...differenceOf(record, judged.decision));
  }
  if (runsBefore < runs.length)
    what.push(
      `experiment ${number} has ${runs.length} runs; the ${record.policy.name} policy decides after ${runsBefore}`,
    );
  return what;
}

interface Judged {
  /** null where runs are missing. */
  decision: Decision | null;
  /** That it took. */
  runs: number;
  problems: string[];
}

function judge(record: ExperimentRecord, trial: Trial, own: readonly ScoredRun[]): Judged {
  const { number, policy } = record;
  const problems: string[] = [];
  let done = 0;
  for (;;) {
    const step = nextStep(policyOf(policy), trial, own.slice(0, done));
    if ('decision' in step) return { decision: step.decision, runs: done, problems };
    for (const planned of step.runs) {
      const run = own[done];
      if (run === undefined) {
        problems.push(
          `experiment ${number} has no run ${planned.run}, which the ${policy.name} policy asks for`,
        );
        return { decision: null, runs: done, problems };
      }
      problems.push(...notAsPlanned(number, planned, run));
      done++;
      if (endsRequest(run)) break;
    }
  }
}

function notAsPlanned(number: number, planned: PlannedRun, run: ScoredRun): string[] {
  const name = `run ${planned.run} of experiment ${number}`;
  const whats: string[] = [];
  if (run.seed !== planned.seed) whats.push(`${name} has seed ${run.seed}; the lab gives it ${planned.seed}`);
  if (run.arm !== planned.arm || run.split !== planned.split || run.commit !== planned.commit)
    whats.push(
      `${name} is of the ${run.arm} ${run.commit.slice(0, 7)} on ${run.split}; the policy asks for the ${planned.arm} ${planned.commit.slice(0, 7)} on ${planned.split}`,
    );
  return whats;
}

function differenceOf({ number, verdict, reason, score }: ExperimentRecord, decision: Decision): string[] {
  if (verdict === decision.verdict && reason === decision.reason && score === decision.score) return [];
  const said = `${verdict} (${reason}), score ${String(score)}`;
  const found = `${decision.verdict} (${decision.reason}), score ${String(decision.score)}`;
  return [`record ${number} says ${said}; by its runs it is ${found}`];
}
