/**
 * Workflow tasks that fail again and again: the workflow stands still, takes no message, and the server calls it running. A history
 * that this build's code does not follow does it, and so does a result that this code cannot read.
 */
import type { Client, WorkflowExecutionDescription } from '@temporalio/client';
import { decodeOptionalFailureToOptionalError } from '@temporalio/common/lib/internal-non-workflow';
import { temporal } from '@temporalio/proto';

export interface FailingTask {
  workflowId: string;
  /** The next try: 2 after the first failure. */
  attempt: number;
  /** What the worker reported. */
  reason: string;
}

/** A message that came while the worker answered fails the task too. It is tried again at once, and goes well. */
const HARMLESS = temporal.api.enums.v1.WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_UNHANDLED_COMMAND;
/** Messages that came since the failure stand behind it. */
const EVENTS_READ = 200;

/** Null where the last try went well, where there was none, and where it only came too late: the worker is busy, or gone. */
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
    const { loadedDataConverter } = client.options;
    const error = await decodeOptionalFailureToOptionalError(loadedDataConverter, failed.failure);
    return { workflowId, attempt, reason: error?.message ?? 'the worker gave no reason' };
  }
  return null;
}
