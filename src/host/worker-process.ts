/** Starts, replaces and stops this host's worker: one detached process. Runs outlive it. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { checkHeldHere, holderOf, launch } from '../process/detach';
import { boundLog, tailOfLog } from '../process/log-file';
import { isAlive, isSame, terminate, type Owner } from '../process/owner';
import { asset } from '../process/package-root';
import { workerState } from '../process/paths';
import { buildId } from '../temporal/build-id';
import type { ServerAddress } from '../temporal/server-address';
import { credentialsId } from '../temporal/connection';
import { controlQueue } from '../temporal/queues';
import { variablesOf } from '../temporal/worker-environment';
import { environmentHas, readWorkerInfo, workerLock, type WorkerInfo } from '../temporal/worker-info';

const READY_MS = 60_000;
const STOP_MS = 5_000;

export const workerLog = (): string => join(workerState(), 'worker.log');

/** The worker did not start. The message has the tail of its log. */
export class WorkerFailed extends Error {
  override name = 'WorkerFailed';
  readonly todo = `see ${workerLog()}, then \`npx autoresearch doctor\``;
}

interface ReadyWorker {
  info: WorkerInfo;
  state: 'started' | 'replaced' | 'running';
  /** Why the old worker was replaced. */
  because: string | null;
}

/** The running worker, once it polls; null if there is none. */
export async function runningWorker(): Promise<WorkerInfo | null> {
  const info = await readWorkerInfo();
  return info !== null && !info.isEnding && isAlive(info.owner) ? info : null;
}

/**
 * Starts the worker, or finds it running. Replaces a worker of another build, another server or another environment (a corrected API
 * key): runs continue, and the new worker finds them. Callers hold the lock of `up`.
 * @param python the trainer's interpreter
 * @param mayStart called before the old worker is stopped; it throws if a new worker could not train
 * @throws WorkerFailed, HeldElsewhere
 */
export async function ensureWorker(
  server: ServerAddress,
  python: string,
  mayStart: () => Promise<void>,
): Promise<ReadyWorker> {
  const before = await runningWorker();
  const because = before === null ? null : reasonToReplace(before, server, python);
  if (before !== null && because === null) return { info: before, state: 'running', because };
  await mayStart();
  const carried = before === null ? {} : variablesOf(before.owner.pid);
  await stopWorker();
  const info = await start(python, carried);
  return { info, state: because === null ? 'started' : 'replaced', because };
}

/** @returns whether one was running */
export async function stopWorker(): Promise<boolean> {
  const owner = await holderOf(workerLock());
  if (owner === null) return false;
  await terminate(owner, { graceMs: STOP_MS });
  return true;
}

function reasonToReplace(worker: WorkerInfo, server: ServerAddress, python: string): string | null {
  if (worker.build !== buildId()) return 'it had another build';
  if (worker.address !== server.address || worker.namespace !== server.namespace) {
    return `it served ${worker.namespace} at ${worker.address}`;
  }
  if (worker.credentials !== credentialsId(server)) return 'it had other credentials';
  if (!worker.queues.includes(controlQueue())) return `it served ${worker.queues.join(', ')}`;
  if (worker.python !== python) return `it trained with ${worker.python}`;
  const devices = (process.env['AUTORESEARCH_DEVICES'] ?? '').replaceAll(' ', '');
  if (devices !== '' && devices !== worker.devices.join(',')) {
    return `it trained on ${worker.devices.join(', ')}`;
  }
  const here = environmentHas();
  for (const [name, hash] of Object.entries(here.variables)) {
    // A shell without the variable does not remove it.
    if (worker.has.variables[name] === hash) continue;
    return Object.hasOwn(worker.has.variables, name) ? `it had another ${name}` : `it had no ${name}`;
  }
  if (here.codecKeys.length > 0 && here.codecKeys.join() !== worker.has.codecKeys.join()) {
    return worker.has.codecKeys.length === 0 ? 'it did not encrypt' : 'it had other codec keys';
  }
  return null;
}

/** @param carried the old worker's variables, which this process may lack */
async function start(python: string, carried: Record<string, string>): Promise<WorkerInfo> {
  await mkdir(workerState(), { recursive: true });
  const logged = await boundLog(workerLog());
  const owner = await launch({
    command: [process.execPath, '--enable-source-maps', asset('dist', 'worker.js')],
    cwd: workerState(),
    env: { ...carried, ...withoutEmpty(process.env, carried), AUTORESEARCH_PYTHON: python },
    log: workerLog(),
    lock: workerLock(),
    name: 'worker',
  });
  if (owner === null) {
    await checkHeldHere(workerLock());
    throw new WorkerFailed('another command has just started a worker on this host: try again');
  }
  return untilReady(owner, logged);
}

/** An empty variable counts as unset. */
const withoutEmpty = (env: NodeJS.ProcessEnv, carried: Record<string, string>): NodeJS.ProcessEnv =>
  Object.fromEntries(Object.entries(env).filter(([name, value]) => value !== '' || !(name in carried)));

/**
 * Waits for the worker's description. Until then worker.json describes the last worker, for a later start. Returns the description
 * also if the worker has died since: the next command reports that.
 */
async function untilReady(owner: Owner, logged: number): Promise<WorkerInfo> {
  const end = performance.now() + READY_MS;
  for (;;) {
    // Check first, then read, so that a description written just before its death counts.
    const lives = isAlive(owner);
    const info = await readWorkerInfo();
    if (info !== null && isSame(info.owner, owner)) return info;
    if (!lives) {
      throw new WorkerFailed(`the worker ended before it was ready: ${await tailOfLog(workerLog(), logged)}`);
    }
    if (performance.now() > end) {
      await terminate(owner, { graceMs: STOP_MS });
      throw new WorkerFailed(
        `the worker was not ready after ${READY_MS / 1000} s: ${await tailOfLog(workerLog(), logged)}`,
      );
    }
    await sleep(50);
  }
}
