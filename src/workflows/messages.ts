/**
 * The messages of a study, by the names that people type into the Temporal UI. Each signal also exists as an
 * update of the same name, which answers with the study's status or refuses with the reason.
 */
import { defineQuery, defineSignal, defineUpdate } from '@temporalio/workflow';
import type { ExperimentSummary } from '../domain/experiment';
import type { BudgetChange, IdeaRequest, StopRequest } from '../domain/requests';
import type { StudyStatus } from '../domain/status';

/** Ends the study after the running experiment, or with `{"now": true}` at once. */
export const stopSignal = defineSignal<[StopRequest]>('stop');
export const stopUpdate = defineUpdate<StudyStatus, [StopRequest]>('stop');

/** Waits after the running experiment. */
export const pauseSignal = defineSignal('pause');
export const pauseUpdate = defineUpdate<StudyStatus>('pause');

/** Goes on. */
export const resumeSignal = defineSignal('resume');
export const resumeUpdate = defineUpdate<StudyStatus>('resume');

/** Sets limits: `{"experiments": 200, "gpuHours": null}`. */
export const adjustBudgetSignal = defineSignal<[BudgetChange]>('adjustBudget');
export const adjustBudgetUpdate = defineUpdate<StudyStatus, [BudgetChange]>('adjustBudget');

/** A thought for the next proposal. */
export const hintSignal = defineSignal<[string | { text: string }]>('hint');
export const hintUpdate = defineUpdate<StudyStatus, [string | { text: string }]>('hint');

/** An idea for the backlog: a text, or `{"text": "…"}`; `{"drop": "12.1"}` takes one off. */
export const ideaSignal = defineSignal<[IdeaRequest]>('idea');
export const ideaUpdate = defineUpdate<StudyStatus, [IdeaRequest]>('idea');

/** Where the study stands. */
export const statusQuery = defineQuery<StudyStatus>('status');
/** The last experiments, oldest first; all of them are in the ledger. */
export const historyQuery = defineQuery<ExperimentSummary[]>('history');
