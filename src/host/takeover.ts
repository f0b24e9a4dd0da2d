/**
 * Checks that running studies can continue with another build's workflow code, before its worker takes over. Within a minor version they
 * can, because changes go through `patched`. Replaying their histories catches a release without its `patched`, and a downgrade to a
 * release that lacks a change. No worker is stopped before the check succeeds.
 */
import type { Client } from '@temporalio/client';
import { buildId, packageVersion } from '../temporal/build-id';
import { workflowBundle } from '../temporal/codec';
import type { ServerAddress } from '../temporal/server-address';
import { connect } from '../temporal/connection';
import { openWorkflows, type OpenWorkflow } from '../temporal/executions';
import { failingTask } from '../temporal/failing-task';
import { historiesOf } from '../temporal/histories';
import { controlQueue } from '../temporal/queues';
import type * as ReplayModule from '../temporal/replay';
import type { Replayed } from '../temporal/replay';
import { readWorkerInfo } from '../temporal/worker-info';
import type { Say } from '../process/progress';

/** A running study could not continue with the new build. The message names the study and the reason. */
export class TakeoverRefused extends Error {
  override name = 'TakeoverRefused';
  constructor(
    message: string,
    readonly todo: string,
  ) {
    super(message);
  }
}

/** @throws TakeoverRefused */
export async function checkTakeover(server: ServerAddress, say: Say): Promise<void> {
  const last = await readWorkerInfo();
  if (last?.build === buildId()) return;
  const { client, connection } = await connect(server);
  try {
    const workflows = await openWorkflows(client, controlQueue());
    if (workflows.length === 0) return;
    checkVersions(workflows);
    const going = await withoutFailing(client, workflows, say);
    await checkHistories(client, going, last?.build ?? 'unknown', say);
  } finally {
    await connection.close();
  }
}

/** @throws TakeoverRefused if a release of another minor version started a running study */
function checkVersions(workflows: readonly OpenWorkflow[]): void {
  const here = packageVersion();
  const others = workflows.filter(
    ({ isStudy, version }) => isStudy && minorOf(version ?? '') !== minorOf(here),
  );
  if (others.length === 0) return;
  const which = others.map(
    ({ tag, version }) => `study ${tag} runs with version ${version ?? '0.4 or older'}`,
  );
  const tags = others.map(({ tag }) => tag);
  const stops = tags.map((tag) => `\`autoresearch stop ${tag}\``).join(', ');
  const resumes = tags.map((tag) => `\`autoresearch resume ${tag}\``).join(', ');
  throw new TakeoverRefused(
    `${which.join('; ')}, and this is ${here}: before 1.0 a running study cannot change its minor version`,
    `stop it with the version that runs it: ${stops} there, then \`autoresearch up\` and ${resumes} here, which continues from the ` +
      'ledger. If that version is gone: `autoresearch up --force`, `autoresearch stop TAG --now`, then resume it',
  );
}

/** `0.5` of `0.5.1`. */
const minorOf = (version: string): string => version.split('.').slice(0, 2).join('.');

/** @throws TakeoverRefused if a workflow's history does not replay */
async function checkHistories(
  client: Client,
  workflows: readonly OpenWorkflow[],
  lastBuild: string,
  say: Say,
): Promise<void> {
  if (workflows.length === 0) return;
  // Loaded here because it loads the SDK's native module, which only this case needs.
  const { replay, silenceSdk }: typeof ReplayModule = require('../temporal/replay');
  silenceSdk();
  const refused: Replayed[] = [];
  let agree = 0;
  for await (const replayed of replay(workflowBundle(), historiesOf(client, workflows))) {
    if (replayed.failure === null) agree++;
    else refused.push(replayed);
  }
  if (refused.length > 0) {
    throw new TakeoverRefused(
      `the last worker has build ${lastBuild}; running workflows cannot continue with this one (${buildId()}): ${refused.map(whyNot).join('; ')}`,
      'use the build that ran them; or `stop` the study with it and `resume` it with this one, which continues from the ' +
        'ledger. `up --force` takes over all the same, and the study waits for a build that can replay it',
    );
  }
  if (agree > 0)
    say(`a new build takes over: ${agree} running workflows replay with it without a difference`);
}

/** Leaves out workflows whose task fails already: another build can only help them, so they must not block it. */
async function withoutFailing(
  client: Client,
  workflows: readonly OpenWorkflow[],
  say: Say,
): Promise<OpenWorkflow[]> {
  const going: OpenWorkflow[] = [];
  for (const workflow of workflows) {
    const { workflowId, runId, tag } = workflow;
    const failing = await failingTask(client, await client.workflow.getHandle(workflowId, runId).describe());
    if (failing === null) going.push(workflow);
    else {
      say(
        `${workflowId} makes no progress with the old build: ${failing.reason}. This build may continue it; if not, ` +
          `\`autoresearch stop ${tag} --now\` ends it, and \`resume ${tag}\` continues from its ledger`,
      );
    }
  }
  return going;
}

function whyNot({ workflowId, failure }: Replayed): string {
  const event = failure?.event ?? null;
  const where = event === null ? '' : ` at event ${event.id} (${event.type})`;
  return `${workflowId}${where}: ${failure?.message ?? ''}`;
}
