/** Starts the workflow of a study, new or resumed, on a server and a worker that are there. */
import { WorkflowExecutionAlreadyStartedError } from '@temporalio/client';
import { TypedSearchAttributes } from '@temporalio/common';
import type { StudyConfig, StudyState } from '../domain/study';
import type { Git } from '../ledger/git';
import { readStudy, saveStudy } from '../ledger/ledger';
import { bringUp } from '../host/up';
import { packageVersion } from '../temporal/build-id';
import { connect, type Connected } from '../temporal/connection';
import { VERSION_MEMO } from '../temporal/executions';
import { controlQueue } from '../temporal/queues';
import { RESEARCHER, STUDY } from '../temporal/search-attributes';
import type { WorkerInfo } from '../temporal/worker-info';
import type { study as studyWorkflow } from '../workflows/study';
import { CliError } from './errors';
import { ownStudy, pageOf } from './study-workflow';
import { budgetText } from '../domain/budget';
import type { FoundStudy } from './find-study';

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

/** A study that has begun, or goes on. */
export interface LaunchedStudy extends FoundStudy {
  /** Its page in the Temporal UI; null where that is not known. */
  link: string | null;
}

/**
 * @param begins the state that it begins with, where that is not what its `config` says
 * @throws CliError if its workflow runs
 */
export async function launchStudy(
  server: Connected,
  { git, config }: FoundStudy,
  begins?: StudyState,
): Promise<LaunchedStudy> {
  const { tag } = config;
  let own = await ownStudy(server.client, config);
  let started = await startWorkflow(server, git, own, begins);
  if (!started) {
    // Another lab may have started a study of this tag at the same moment.
    const { workflowId } = own;
    own = await ownStudy(server.client, own);
    started = own.workflowId !== workflowId && (await startWorkflow(server, git, own, begins));
  }
  if (!started) {
    throw new CliError('conflict', `study ${tag} runs already`, `see \`npx autoresearch status ${tag}\``);
  }
  return { git, config: own, link: pageOf(server, own.workflowId) };
}

/** False if a workflow of that id runs. */
async function startWorkflow(
  { client }: Connected,
  git: Git,
  config: StudyConfig,
  begins: StudyState | undefined,
): Promise<boolean> {
  const { tag, workflowId, researcher, lab, budget, metric } = config;
  // Whoever comes later finds the workflow by the ledger's id.
  if ((await readStudy(git, tag))?.workflowId !== workflowId) await saveStudy(git, config);
  try {
    await client.workflow.start<typeof studyWorkflow>('study', {
      taskQueue: controlQueue(),
      workflowId,
      args: begins === undefined ? [config] : [config, begins],
      workflowIdConflictPolicy: 'FAIL',
      typedSearchAttributes: new TypedSearchAttributes([
        { key: STUDY, value: tag },
        { key: RESEARCHER, value: researcher },
      ]),
      memo: { [VERSION_MEMO]: packageVersion() },
      staticSummary: `study ${tag} · ${metric} · ${researcher}`,
      staticDetails: `Lab \`${lab}\`, branch \`autoresearch/${tag}\`, ${budgetText(budget)} a run.`,
    });
    return true;
  } catch (error) {
    if (error instanceof WorkflowExecutionAlreadyStartedError) return false;
    throw error;
  }
}
