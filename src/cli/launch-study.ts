/** Starts the workflow of a study, new or resumed, on a server and a worker that are there. */
import { WorkflowExecutionAlreadyStartedError } from '@temporalio/client';
import { TypedSearchAttributes } from '@temporalio/common';
import type { StudyConfig, StudyState } from '../domain/study';
import { bringUp } from '../setup/up';
import { connect, type Connected } from '../temporal/connection';
import { controlQueue } from '../temporal/queues';
import { RESEARCHER, STUDY } from '../temporal/search-attributes';
import type { WorkerInfo } from '../temporal/worker-info';
import type { study as studyWorkflow } from '../workflows/study';
import { CliError } from './errors';
import { pageOf } from './live';
import { budgetText } from './render/status';

export interface ReadyServer extends Connected {
  /** What the worker trains on: `cuda:0`, `cpu`. */
  devices: string[];
  /** What the worker's environment has. */
  has: WorkerInfo['has'];
}

/**
 * Connects to a server whose worker is there; closed afterwards. What is not running yet is started, as `up` does.
 * @param say progress, where something has to be started
 */
export async function withReadyServer<T>(
  say: (line: string) => void,
  work: (server: ReadyServer) => Promise<T>,
): Promise<T> {
  const { server, worker } = await bringUp({}, say);
  if (server.state === 'started') say(`Temporal server: started at ${server.address}`);
  if (worker.state !== 'running')
    say(`worker: ${worker.state}${worker.because === null ? '' : `, for ${worker.because}`}`);
  const connected = await connect(server);
  try {
    return await work({ ...connected, devices: worker.info.devices, has: worker.info.has });
  } finally {
    await connected.connection.close();
  }
}

/** `study-<tag>`, or with the lab's id behind it where another lab's study has that name. */
export async function freeWorkflowId({ client }: Connected, tag: string, labId: string): Promise<string> {
  const id = `study-${tag}`;
  const { count } = await client.workflow.count(`WorkflowId = '${id}'`);
  return count === 0 ? id : `${id}-${labId}`;
}

/**
 * @param begins the state that it begins with, where that is not what `config` says
 * @returns the address of its page in the Temporal UI, where that is known
 * @throws CliError if a workflow of that id runs
 */
export async function launchStudy(
  server: Connected,
  config: StudyConfig,
  begins?: StudyState,
): Promise<string | null> {
  const { tag, workflowId, researcher, lab, budget, metric } = config;
  try {
    await server.client.workflow.start<typeof studyWorkflow>('study', {
      taskQueue: controlQueue(),
      workflowId,
      args: begins === undefined ? [config] : [config, begins],
      workflowIdConflictPolicy: 'FAIL',
      typedSearchAttributes: new TypedSearchAttributes([
        { key: STUDY, value: tag },
        { key: RESEARCHER, value: researcher },
      ]),
      staticSummary: `study ${tag} · ${metric} · ${researcher}`,
      staticDetails: `Lab \`${lab}\`, branch \`autoresearch/${tag}\`, ${budgetText(budget)} a run.`,
    });
  } catch (error) {
    if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
    throw new CliError('conflict', `study ${tag} runs already`, `see \`npx autoresearch status ${tag}\``, {
      cause: error,
    });
  }
  return pageOf(server, workflowId);
}
