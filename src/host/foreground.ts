/** Runs server and worker for a service manager: restarts what dies, until it is ended or `down` is called. */
import { setTimeout as sleep } from 'node:timers/promises';
import { tailOfLog } from '../process/log-file';
import { isAlive, type Owner } from '../process/owner';
import { buildId } from '../temporal/build-id';
import { readServerInfo, runningServer, serverLog } from '../temporal/server-info';
import { runningWorker, workerLog } from './worker-process';
import type { Say } from '../process/progress';
import { isDown } from './down-marker';
import { bringUp, StoppedByDown, type UpWish } from './up';

const CHECK_MS = 500;
/** Delay before a restart. Doubles up to `most`; resets once a part has lived that long. */
const AGAIN_MS = { first: 1_000, most: 60_000 };

/** Another build was installed while this one runs. */
export class BuildReplaced extends Error {
  override name = 'BuildReplaced';
  readonly todo = 'start it again, as service managers do; worker, server and runs continue';
}

interface Part {
  name: 'worker' | 'Temporal server';
  owner: Owner;
  log: string;
}

/** What this process supervises: the worker, and our own server. */
type Parts = Part[];

/**
 * Starts server and worker and restarts what dies, until `end`. After `down` it waits for another process's `up`.
 * @throws BuildReplaced, and at the first start the errors of `bringUp`; later starts are retried at most a minute apart
 */
export async function runInForeground(wish: UpWish, say: Say, end: AbortSignal): Promise<void> {
  const build = buildId();
  let running = await start(wish, say);
  let began = performance.now();
  let pause = AGAIN_MS.first;
  let isWaiting = false;
  while (await passes(CHECK_MS, end)) {
    if (running.every(isThere)) continue;
    // `up` has replaced them, so nothing died.
    const others = await replacementsOf(running);
    if (others !== null) {
      checkBuild(build);
      say(`now supervises ${others.map(nameOf).join(', ')}`);
      [running, isWaiting] = [others, false];
      continue;
    }
    if (isDown()) {
      if (!isWaiting) say('stopped by `autoresearch down`: waiting for `autoresearch up`');
      isWaiting = true;
      continue;
    }
    if (!isWaiting) await reportDeaths(running, say);
    if (performance.now() - began > AGAIN_MS.most) pause = AGAIN_MS.first;
    if (!(await passes(pause, end))) return;
    checkBuild(build);
    pause = Math.min(2 * pause, AGAIN_MS.most);
    began = performance.now();
    running = (await startAgain(wish, say)) ?? running;
    isWaiting = false;
  }
}

/** Waits; returns false if `end` was signalled. */
async function passes(ms: number, end: AbortSignal): Promise<boolean> {
  await sleep(ms, undefined, { signal: end }).catch(() => undefined);
  return !end.aborted;
}

const isThere = ({ owner }: Part): boolean => isAlive(owner);
const nameOf = ({ name, owner }: Part): string => `${name} (process ${owner.pid})`;

/** The running replacements of these parts; null unless all are running. */
async function replacementsOf(running: Parts): Promise<Parts | null> {
  const now = parts((await runningWorker())?.owner, (await runningServer())?.owner);
  const same = running.map(({ name }) => now.find((part) => part.name === name));
  return same.every((part) => part !== undefined) ? same : null;
}

function parts(worker: Owner | undefined, server: Owner | undefined): Parts {
  return [
    ...(worker === undefined ? [] : [{ name: 'worker' as const, owner: worker, log: workerLog() }]),
    ...(server === undefined ? [] : [{ name: 'Temporal server' as const, owner: server, log: serverLog() }]),
  ];
}

/**
 * This build's code must not run with a new build's files.
 * @throws BuildReplaced
 */
function checkBuild(build: string): void {
  const now = buildId();
  if (now === build) return;
  throw new BuildReplaced(`this process runs build ${build}, but ${now} is now installed`);
}

async function reportDeaths(running: Parts, say: Say): Promise<void> {
  for (const part of running.filter((each) => !isThere(each))) {
    say(`the ${nameOf(part)} has ended; the tail of its log: ${await tailOfLog(part.log, 0)}`);
  }
}

/** @returns null if the start fails or `down` was called */
async function startAgain(wish: UpWish, say: Say): Promise<Parts | null> {
  try {
    return await start({ ...wish, again: true }, say);
  } catch (error) {
    if (!(error instanceof StoppedByDown))
      say(`start failed: ${error instanceof Error ? error.message : String(error)}`);
    return null;
  }
}

async function start(wish: UpWish, say: Say): Promise<Parts> {
  const { server, worker } = await bringUp(wish, say);
  for (const warning of server.warnings) say(`warning: ${warning}`);
  const { owner, devices, queues } = worker.info;
  say(
    `worker: process ${owner.pid}, trains on ${devices.join(', ')}, serves ${server.namespace} at ${server.address} (${queues.join(', ')})`,
  );
  // A part that has just died is noticed at the next check.
  return parts(owner, server.ours ? (await readServerInfo())?.owner : undefined);
}
