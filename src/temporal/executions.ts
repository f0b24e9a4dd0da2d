/** The workflow executions that the server has: a study's own runs and its experiments', and the studies that go on. */
import type { Client } from '@temporalio/client';
import { SCORE, STUDY, VERDICT } from './search-attributes';

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

/** The number of the experiment whose workflow id this is; null where it is no experiment of the study. */
export function experimentOf(study: string, workflowId: string): number | null {
  const prefix = experimentPrefix(study);
  return workflowId.startsWith(prefix) ? Number(workflowId.slice(prefix.length)) : null;
}

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

/** A workflow that has not ended: a study, or one of its experiments. */
export interface OpenWorkflow {
  workflowId: string;
  runId: string;
  isStudy: boolean;
  /** The study's tag. */
  tag: string;
  /** The release that started the study; null for experiments, and before 0.5. */
  version: string | null;
}

/** Of the workflows that have not ended, on one task queue. */
export async function openWorkflows(client: Client, taskQueue: string): Promise<OpenWorkflow[]> {
  const query = `ExecutionStatus = 'Running' AND TaskQueue = '${taskQueue}'`;
  const found: OpenWorkflow[] = [];
  for await (const { workflowId, runId, type, memo, typedSearchAttributes } of client.workflow.list({
    query,
  })) {
    const version = memo?.[VERSION_MEMO];
    found.push({
      workflowId,
      runId,
      isStudy: type === 'study',
      tag: typedSearchAttributes.get(STUDY) ?? workflowId,
      version: typeof version === 'string' ? version : null,
    });
  }
  return found;
}

/** The key of a study's memo that holds the release which started it. */
export const VERSION_MEMO = 'autoresearchVersion';

/** The workflow ids of the studies that have not ended, on one task queue. */
export const openStudies = async (client: Client, taskQueue: string): Promise<string[]> =>
  (await openWorkflows(client, taskQueue))
    .filter(({ isStudy }) => isStudy)
    .map(({ workflowId }) => workflowId);
