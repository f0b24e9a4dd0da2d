/**
 * Finds workflow tasks that fail repeatedly. Such a workflow makes no progress and answers no message, but the server lists it as
 * running. The cause is a history that this build's code cannot replay, or a result that it cannot decode.
 */
import type { Client, WorkflowExecutionDescription } from '@temporalio/client';
import { temporal } from '@temporalio/proto';
import { failureMessage } from './decode';

export interface FailingTask {
  workflowId: string;
  /** Number of the next attempt: 2 after the first failure. */
  attempt: number;
  /** What the worker reported. */
  reason: string;
}

/** A message that arrives while the worker answers fails the task too; the retry succeeds at once. */
const HARMLESS = temporal.api.enums.v1.WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_UNHANDLED_COMMAND;
/** Enough to read past messages that arrived after the failure. */
const EVENTS_READ = 200;

/** Null if the last attempt succeeded, if there was none, or if it timed out because the worker is busy or gone. */
export async function failingTask(
  client: Client,
  { workflowId, runId, raw }: Pick<WorkflowExecutionDescription, 'workflowId' | 'runId' | 'raw'>,
): Promise<FailingTask | null> {
  const attempt = raw.pendingWorkflowTask?.attempt ?? 1;
  if (attempt < 2) return null;
  const { history } = await client.workflowService.getWorkflowExecutionHistoryReverse({
    namespace: client.options.namespace,
    execution: { workflowId, runId },
    maximumPageSize: EVENTS_READ,
  });
  for (const event of history?.events ?? []) {
    if (event.workflowTaskCompletedEventAttributes ?? event.workflowTaskTimedOutEventAttributes) return null;
    const failed = event.workflowTaskFailedEventAttributes;
    if (!failed) continue;
    if (failed.cause === HARMLESS) return null;
    const message = await failureMessage(client.options.loadedDataConverter, failed.failure);
    return { workflowId, attempt, reason: message ?? 'the worker gave no reason' };
  }
  return null;
}
