/** The workflow executions that the server has: a study's own runs and its experiments', and the studies that go on. */
import type { Client } from '@temporalio/client';
import { SCORE, VERDICT } from './search-attributes';

export interface Execution {
  workflowId: string;
  runId: string;
  /** `RUNNING`, `COMPLETED`, `CONTINUED_AS_NEW`, … */
  status: string;
  /** Search attributes; null where the workflow has not set them. */
  verdict: string | null;
  score: number | null;
}

/** Workflow ids of a study's experiments begin with this. */
export const experimentPrefix = (workflowId: string): string => `${workflowId}/exp-`;

/** In no order. The newest may be missing: the server's list follows what happens with some delay. */
export async function listExecutions(client: Client, workflowId: string): Promise<Execution[]> {
  const query = `WorkflowId = '${workflowId}' OR WorkflowId STARTS_WITH '${experimentPrefix(workflowId)}'`;
  const found: Execution[] = [];
  for await (const { workflowId: id, runId, status, typedSearchAttributes } of client.workflow.list({
    query,
  })) {
    found.push({
      workflowId: id,
      runId,
      status: status.name,
      verdict: typedSearchAttributes.get(VERDICT) ?? null,
      score: typedSearchAttributes.get(SCORE) ?? null,
    });
  }
  return found;
}

/** Of the studies that have not ended, on one task queue: their workflow ids. */
export async function openStudies(client: Client, taskQueue: string): Promise<string[]> {
  const query = `ExecutionStatus = 'Running' AND WorkflowType = 'study' AND TaskQueue = '${taskQueue}'`;
  const found: string[] = [];
  for await (const { workflowId } of client.workflow.list({ query })) found.push(workflowId);
  return found;
}
