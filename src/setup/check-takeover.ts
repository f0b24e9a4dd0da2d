/**
 * Before a worker of another build takes over: would its workflow code do with the running studies what was done? A
 * release whose changes go through `patched` always would; this catches one that forgot it, and a step back to a
 * release that does not know a change yet. Nothing is stopped before the answer is yes.
 */
import { buildId } from '../temporal/build-id';
import { workflowBundle } from '../temporal/codec';
import { connect, type ServerAddress } from '../temporal/connection';
import { openHistories } from '../temporal/histories';
import { controlQueue } from '../temporal/queues';
import type * as ReplayModule from '../temporal/replay';
import type { Replayed } from '../temporal/replay';
import { readWorkerInfo } from '../temporal/worker-info';
import type { Say } from './progress';

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

function whyNot({ workflowId, failure }: Replayed): string {
  const event = failure?.event ?? null;
  const where = event === null ? '' : ` at event ${event.id} (${event.type})`;
  return `${workflowId}${where}: ${failure?.message ?? ''}`;
}

/** @throws TakeoverRefused */
export async function checkTakeover(server: ServerAddress, say: Say): Promise<void> {
  const last = await readWorkerInfo();
  if (last === null || last.build === buildId()) return;
  // Not at the top: it loads the native part of the SDK, for this one case.
  const { replay, silenceSdk }: typeof ReplayModule = require('../temporal/replay');
  silenceSdk();
  const { client, connection } = await connect(server);
  const replayed: Replayed[] = [];
  try {
    const histories = openHistories(client, controlQueue());
    for await (const one of replay(workflowBundle(), histories)) replayed.push(one);
  } finally {
    await connection.close();
  }
  const refused = replayed.filter(({ failure }) => failure !== null).map(whyNot);
  if (refused.length > 0) {
    throw new TakeoverRefused(
      `the last worker was of build ${last.build}; with this one (${buildId()}) cannot go on: ${refused.join('; ')}`,
      'go on with the build that ran it; or let that one `stop` the study, and `resume` it with this one: it then goes on ' +
        'from its ledger. `up --force` takes over all the same, and that study waits for a build that knows it',
    );
  }
  if (replayed.length > 0) {
    say(`another build takes over: ${replayed.length} running workflows were replayed through it, and agree`);
  }
}
