/** Lists workflow executions: the runs of a study and its experiments, and the open studies. */
import type { Client } from '@temporalio/client';
import { SCORE, STUDY, VERDICT } from './search-attributes';

export interface Execution {
  workflowId: string;
  runId: string;
  /** `RUNNING`, `COMPLETED`, `CONTINUED_AS_NEW`, … */
  status: string;
  /** Search attributes; null if the workflow has not set them. */
  verdict: string | null;
  score: number | null;
}

/** Prefix of the workflow ids of a study's experiments. */
export const experimentPrefix = (workflowId: string): string => `${workflowId}/exp-`;

/** The experiment's number in a workflow id; null if the id is not of an experiment of this study. */
export function experimentOf(study: string, workflowId: string): number | null {
  const prefix = experimentPrefix(study);
  return workflowId.startsWith(prefix) ? Number(workflowId.slice(prefix.length)) : null;
}

/** Unordered. The newest may be missing: the server's list is eventually consistent. */
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

/** An open workflow: a study or one of its experiments. */
export interface OpenWorkflow {
  workflowId: string;
  runId: string;
  isStudy: boolean;
  /** The study's tag. */
  tag: string;
  /** The release that started the study; null for experiments, and before 0.5. */
  version: string | null;
}

/** The open workflows of one task queue. */
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

/** Memo key of the release that started a study. */
export const VERSION_MEMO = 'autoresearchVersion';

/** The workflow ids of the open studies of one task queue. */
export const openStudies = async (client: Client, taskQueue: string): Promise<string[]> =>
  (await openWorkflows(client, taskQueue))
    .filter(({ isStudy }) => isStudy)
    .map(({ workflowId }) => workflowId);
