/** `up` that stays: what dies of server and worker is started again, until somebody says otherwise. */
import { setTimeout as sleep } from 'node:timers/promises';
import { endOfLog } from '../process/log-file';
import { isAlive, type Owner } from '../process/owner';
import { buildId } from '../temporal/build-id';
import { readServerInfo, runningServer, serverLog } from '../temporal/server-info';
import { runningWorker, workerLog } from './worker-process';
import type { Say } from '../process/progress';
import { isPutDown } from './put-down';
import { bringUp, WasPutDown, type UpWish } from './up';

const LOOK_MS = 500;
/** Before what died is started again; doubled each time, until it has lived for that long. */
const AGAIN_MS = { first: 1_000, most: 60_000 };

/** Another build than this code is installed now. */
export class BuildReplaced extends Error {
  override name = 'BuildReplaced';
  readonly todo = 'start it again, as service managers do; worker, server and runs are left as they are';
}

interface Part {
  name: 'worker' | 'Temporal server';
  owner: Owner;
  log: string;
}

/** What is kept running: the worker, and the server where it is ours. */
type Kept = Part[];

/**
 * Brings up and keeps up, until `end`. After `down` it waits for somebody else's `up`.
 * @throws BuildReplaced, and at the first start what `bringUp` throws: later it tries again, a minute apart at most
 */
export async function keepUp(wish: UpWish, say: Say, end: AbortSignal): Promise<void> {
  const build = buildId();
  let kept = await start(wish, say);
  let began = performance.now();
  let pause = AGAIN_MS.first;
  let isDown = false;
  while (await passes(LOOK_MS, end)) {
    if (kept.every(isThere)) continue;
    // What `up` has replaced is nobody's death.
    const others = await inPlaceOf(kept);
    if (others !== null) {
      checkBuild(build);
      say(`goes on with ${others.map(nameOf).join(', ')}`);
      [kept, isDown] = [others, false];
      continue;
    }
    if (isPutDown()) {
      if (!isDown) say('put down by `autoresearch down`: waiting for `autoresearch up`');
      isDown = true;
      continue;
    }
    if (!isDown) await tellDeaths(kept, say);
    if (performance.now() - began > AGAIN_MS.most) pause = AGAIN_MS.first;
    if (!(await passes(pause, end))) return;
    checkBuild(build);
    pause = Math.min(2 * pause, AGAIN_MS.most);
    began = performance.now();
    kept = (await startAgain(wish, say)) ?? kept;
    isDown = false;
  }
}

/** Waits; false when it was ended meanwhile. */
async function passes(ms: number, end: AbortSignal): Promise<boolean> {
  await sleep(ms, undefined, { signal: end }).catch(() => undefined);
  return !end.aborted;
}

const isThere = ({ owner }: Part): boolean => isAlive(owner);
const nameOf = ({ name, owner }: Part): string => `${name} (process ${owner.pid})`;

/** What runs now as these did; null when not all of it does. */
async function inPlaceOf(kept: Kept): Promise<Kept | null> {
  const now = parts((await runningWorker())?.owner, (await runningServer())?.owner);
  const same = kept.map(({ name }) => now.find((part) => part.name === name));
  return same.every((part) => part !== undefined) ? same : null;
}

function parts(worker: Owner | undefined, server: Owner | undefined): Kept {
  return [
    ...(worker === undefined ? [] : [{ name: 'worker' as const, owner: worker, log: workerLog() }]),
    ...(server === undefined ? [] : [{ name: 'Temporal server' as const, owner: server, log: serverLog() }]),
  ];
}

/**
 * Between an old build's code and a new one's files nothing good would happen.
 * @throws BuildReplaced
 */
function checkBuild(build: string): void {
  const now = buildId();
  if (now === build) return;
  throw new BuildReplaced(`this process is of build ${build}, and ${now} is installed by now`);
}

async function tellDeaths(kept: Kept, say: Say): Promise<void> {
  for (const part of kept.filter((each) => !isThere(each))) {
    say(`the ${nameOf(part)} is gone; its log ends: ${await endOfLog(part.log, 0)}`);
  }
}

/** @returns null when it fails, or is not wanted any more */
async function startAgain(wish: UpWish, say: Say): Promise<Kept | null> {
  try {
    return await start({ ...wish, again: true }, say);
  } catch (error) {
    if (!(error instanceof WasPutDown))
      say(`could not be started: ${error instanceof Error ? error.message : String(error)}`);
    return null;
  }
}

async function start(wish: UpWish, say: Say): Promise<Kept> {
  const { server, worker } = await bringUp(wish, say);
  for (const warning of server.warnings) say(`warning: ${warning}`);
  const { owner, devices, queues } = worker.info;
  say(
    `worker: process ${owner.pid}, trains on ${devices.join(', ')}, serves ${server.namespace} at ${server.address} (${queues.join(', ')})`,
  );
  // Also one that has died just now: that is seen next.
  return parts(owner, server.ours ? (await readServerInfo())?.owner : undefined);
}
