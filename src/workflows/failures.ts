/** What went wrong in an activity or a child, in words and by type. */
import { TimeoutType } from '@temporalio/common';
import { ApplicationFailure, isCancellation, TimeoutFailure } from '@temporalio/workflow';

/** An error and its causes, the innermost last: child and activity failures only say that something failed. */
export function causesOf(error: unknown): unknown[] {
  const inner = error instanceof Error ? error.cause : undefined;
  return inner === undefined ? [error] : [error, ...causesOf(inner)];
}

export const isBudgetExhausted = (error: unknown): error is ApplicationFailure =>
  error instanceof ApplicationFailure && error.type === 'BudgetExhausted';

/** The cache was cleaned, and opening the study fills it again. */
export const isDataGone = (error: unknown): boolean =>
  causesOf(error).some((cause) => cause instanceof ApplicationFailure && cause.type === 'DataGone');

export const isSubmissionMissing = (error: unknown): boolean =>
  causesOf(error).some((cause) => cause instanceof ApplicationFailure && cause.type === 'SubmissionMissing');

/** Nobody has begun an activity for as long as it may wait. */
export const isNeverStarted = (error: unknown): boolean =>
  causesOf(error).some(
    (cause) => cause instanceof TimeoutFailure && cause.timeoutType === TimeoutType.SCHEDULE_TO_START,
  );

export function messageOf(error: unknown): string {
  // The server has no words for it.
  if (isCancellation(error)) return 'it was cancelled';
  return error instanceof Error ? error.message : String(error);
}
