/** The worker of this host: one detached process, which `up` starts or replaces and `down` stops. Runs outlive it. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { checkHeldHere, holderOf, launch } from '../process/detach';
import { boundLog, endOfLog } from '../process/log-file';
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

/** The worker could not be started: the message has the end of its log. */
export class WorkerFailed extends Error {
  override name = 'WorkerFailed';
  readonly todo = `see ${workerLog()}, then \`npx autoresearch doctor\``;
}

interface ReadyWorker {
  info: WorkerInfo;
  state: 'started' | 'replaced' | 'running';
  /** Why the one before was replaced. */
  because: string | null;
}

/** The worker that runs now and has said what it is; null when none does. */
export async function runningWorker(): Promise<WorkerInfo | null> {
  const info = await readWorkerInfo();
  return info !== null && !info.isEnding && isAlive(info.owner) ? info : null;
}

/**
 * Starts the worker, or finds it running. One that is of another build, of another server or with another environment (a corrected
 * API key) is replaced: runs go on, and the next worker finds them. Callers hold the lock of `up`.
 * @param python the trainer's interpreter
 * @param mayStart asked before one is started, and one that runs is ended: it throws where that would not do
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
  if (worker.build !== buildId()) return 'it was of another build';
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
    // A shell without the variable does not take it away.
    if (worker.has.variables[name] === hash) continue;
    return Object.hasOwn(worker.has.variables, name) ? `it had another ${name}` : `it had no ${name}`;
  }
  if (here.codecKeys.length > 0 && here.codecKeys.join() !== worker.has.codecKeys.join()) {
    return worker.has.codecKeys.length === 0 ? 'it did not encrypt' : 'it had other codec keys';
  }
  return null;
}

/** @param carried what the one before had, and this process may lack */
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
    throw new WorkerFailed('another worker has just been started on this host: try again');
  }
  return untilReady(owner, logged);
}

/** An empty variable is none. */
const withoutEmpty = (env: NodeJS.ProcessEnv, carried: Record<string, string>): NodeJS.ProcessEnv =>
  Object.fromEntries(Object.entries(env).filter(([name, value]) => value !== '' || !(name in carried)));

/**
 * What it says of itself; until then the last worker's word stays, for whoever starts one after this. It counts also where it
 * has died since: that is the next trouble, told by whoever looks next.
 */
async function untilReady(owner: Owner, logged: number): Promise<WorkerInfo> {
  const end = performance.now() + READY_MS;
  for (;;) {
    // In this order: what it says before it dies is read after its death.
    const lives = isAlive(owner);
    const info = await readWorkerInfo();
    if (info !== null && isSame(info.owner, owner)) return info;
    if (!lives) {
      throw new WorkerFailed(`the worker ended before it was ready: ${await endOfLog(workerLog(), logged)}`);
    }
    if (performance.now() > end) {
      await terminate(owner, { graceMs: STOP_MS });
      throw new WorkerFailed(
        `the worker was not ready after ${READY_MS / 1000} s: ${await endOfLog(workerLog(), logged)}`,
      );
    }
    await sleep(50);
  }
}
