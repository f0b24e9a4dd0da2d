/**
 * Before a worker of another build takes over: can the running studies go on with its workflow code? Within a minor version they can,
 * for changes go through `patched`; replaying them catches a release that forgot it, and a step back to a release that does not
 * know a change yet. Nothing is stopped before the answer is yes.
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

/** A running study could not go on with what would take over: the message says which and why. */
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
    const going = await withoutThoseThatStandStill(client, workflows, say);
    await checkHistories(client, going, last?.build ?? 'unknown', say);
  } finally {
    await connection.close();
  }
}

/** @throws TakeoverRefused if a study runs that a release of another minor version started */
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
    `${which.join('; ')}, and this is ${here}: before 1.0 a study cannot cross a minor version while it runs`,
    `finish it with the version that runs it: ${stops} there, then \`autoresearch up\` and ${resumes} here, which goes on from the ` +
      'ledger. Where that version is gone: `autoresearch up --force`, `autoresearch stop TAG --now`, then resume it',
  );
}

/** `0.5` of `0.5.1`. */
const minorOf = (version: string): string => version.split('.').slice(0, 2).join('.');

/** @throws TakeoverRefused if a workflow could not go on that goes on now */
async function checkHistories(
  client: Client,
  workflows: readonly OpenWorkflow[],
  lastBuild: string,
  say: Say,
): Promise<void> {
  if (workflows.length === 0) return;
  // Not at the top: it loads the native part of the SDK, for this one case.
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
      `the last worker was of build ${lastBuild}; with this one (${buildId()}) cannot go on: ${refused.map(whyNot).join('; ')}`,
      'go on with the build that ran it; or let that one `stop` the study, and `resume` it with this one: it then goes on ' +
        'from its ledger. `up --force` takes over all the same, and that study waits for a build that knows it',
    );
  }
  if (agree > 0)
    say(`another build takes over: ${agree} running workflows were replayed through it, and agree`);
}

/** Those whose task fails already have nothing to lose by another build, and must not hold up the others. */
async function withoutThoseThatStandStill(
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
        `${workflowId} stands still with the build before: ${failing.reason}. This build may go on with it; if not, ` +
          `\`autoresearch stop ${tag} --now\` ends it, and \`resume ${tag}\` goes on from its ledger`,
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
