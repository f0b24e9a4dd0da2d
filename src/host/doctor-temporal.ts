/** `doctor`'s checks of Temporal: the binary, the server, its namespace, and this host's worker. */
import { buildId } from '../temporal/build-id';
import { findTemporal } from './temporal-binary';
import { connect, namedServer, ServerUnavailable, type Connected } from '../temporal/connection';
import { openWorkflows } from '../temporal/executions';
import { failingTask } from '../temporal/failing-task';
import { inspectNamespace, RETENTION_DAYS } from '../temporal/namespace';
import { isFree, PORT, UI_ABOVE } from './ports';
import { controlQueue } from '../temporal/queues';
import { runningServer } from '../temporal/server-info';
import { runningWorker } from './worker-process';
import { failed, fine, warn, type Check } from './check';
import { run } from '../process/run-program';

const UP = '`npx autoresearch up`';

export async function checkTemporal(): Promise<Check[]> {
  const [binary, server, worker] = await Promise.all([checkBinary(), checkServer(), checkWorker()]);
  return [binary, ...server, worker];
}

async function checkBinary(): Promise<Check> {
  const name = 'Temporal binary';
  const found = await findTemporal();
  if (found !== null) return fine(name, `${found.version}, ${found.path}`);
  if (namedServer() !== null) return fine(name, 'none, and none is needed: TEMPORAL_ADDRESS names a server');
  const { ok } = await run('go', ['version'], { timeoutMs: 20_000 });
  return warn(
    name,
    ok ? 'none; Go can build it' : 'none, and Go is not installed either',
    `${UP} fetches it, or install the Temporal CLI: https://docs.temporal.io/cli`,
  );
}

async function checkServer(): Promise<Check[]> {
  const name = 'Temporal server';
  try {
    if (namedServer() === null && (await runningServer()) === null) {
      return [warn(name, 'none is running, and TEMPORAL_ADDRESS is not set', UP), await checkPorts()];
    }
    const connected = await connect();
    try {
      const ui = connected.ui === null ? '' : `, UI ${connected.ui}`;
      return [
        fine(name, `${connected.address}${ui}`),
        ...(await checkNamespace(connected)),
        await checkStudies(connected),
      ];
    } finally {
      await connected.connection.close();
    }
  } catch (error) {
    // `up` starts our own server; the user must start theirs.
    const isTheirs = error instanceof ServerUnavailable && (await runningServer()) === null;
    return [{ ...failed(name, error), ...(isTheirs && { state: 'missing' as const }) }];
  }
}

async function checkPorts(): Promise<Check> {
  const wanted = [PORT, PORT + UI_ABOVE];
  const free = await Promise.all(wanted.map(isFree));
  const taken = wanted.filter((_, index) => free[index] !== true);
  return taken.length === 0
    ? fine('ports', `${wanted.join(' and ')} are free`)
    : warn(
        'ports',
        `taken: ${taken.join(', ')}`,
        `${UP} takes the next free ports, or those of --port and --ui-port`,
      );
}

async function checkNamespace(connected: Connected): Promise<Check[]> {
  const name = `namespace ${connected.namespace}`;
  const attributes = 'search attributes';
  try {
    const { retentionDays, missing, mistyped } = await inspectNamespace(connected);
    const retention = `retention of closed workflows: ${retentionDays} days`;
    return [
      retentionDays >= RETENTION_DAYS
        ? fine(name, retention)
        : warn(name, retention, `${UP} raises it to ${RETENTION_DAYS}`),
      missing.length + mistyped.length === 0
        ? fine(attributes, 'registered')
        : warn(
            attributes,
            [
              ...missing.map((each) => `${each} is missing`),
              ...mistyped.map((each) => `${each} has the wrong type`),
            ].join(', '),
            `${UP} registers missing ones; for a wrong type use another namespace (TEMPORAL_NAMESPACE)`,
          ),
    ];
  } catch (error) {
    if (error instanceof ServerUnavailable) return [failed(name, error)];
    const reason = error instanceof Error ? error.message : String(error);
    return [
      warn(
        name,
        `cannot be inspected: ${reason}`,
        'ask its administrator for permission to describe it and to list its search attributes',
      ),
    ];
  }
}

/** Finds this host's workflows whose tasks fail: the server lists them as running. */
async function checkStudies({ client }: Connected): Promise<Check> {
  const name = 'studies';
  try {
    const workflows = await openWorkflows(client, controlQueue());
    const found = await Promise.all(
      workflows.map(async ({ workflowId, runId, tag }) => {
        const failing = await failingTask(
          client,
          await client.workflow.getHandle(workflowId, runId).describe(),
        );
        return failing === null ? [] : [{ ...failing, tag }];
      }),
    );
    const failing = found.flat();
    if (failing.length === 0) {
      return fine(name, `${workflows.filter(({ isStudy }) => isStudy).length} running or paused`);
    }
    const tags = [...new Set(failing.map(({ tag }) => tag))];
    return warn(
      name,
      failing
        .map(
          ({ workflowId, attempt, reason }) =>
            `${workflowId} makes no progress (attempt ${attempt}): ${reason}`,
        )
        .join('; '),
      tags
        .map(
          (tag) =>
            `\`npx autoresearch stop ${tag} --now\` ends it, \`resume ${tag}\` then continues from its ledger`,
        )
        .join('; '),
    );
  } catch (error) {
    return failed(name, error);
  }
}

async function checkWorker(): Promise<Check> {
  const name = 'worker';
  try {
    const worker = await runningWorker();
    if (worker === null) return warn(name, 'none is running on this host', UP);
    const found = `process ${worker.owner.pid}, trains on ${worker.devices.join(', ')}, serves ${worker.address}`;
    return worker.build === buildId()
      ? fine(name, found)
      : warn(name, `${found}, of another build`, `${UP} replaces it; runs continue`);
  } catch (error) {
    return failed(name, error);
  }
}
