/** Our own dev server: detached, on 127.0.0.1 only, with its data in a file. `up` starts it, `down` stops it. */
import { mkdir } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { checkHeldHere, holderOf, launch } from '../process/detach';
import { boundLog, tailOfLog } from '../process/log-file';
import { isAlive, terminate, type Owner } from '../process/owner';
import { serverState } from '../process/paths';
import type { Say } from '../process/progress';
import { ensureTemporal } from './temporal-binary';
import { codecKeys } from '../temporal/codec';
import { CODEC_PORT } from './codec-server';
import { ServerUnavailable } from '../temporal/connection';
import { accepts, choosePorts, HOST, PortInUse, portOf, type Ports } from './ports';
import { withoutTemporalSettings } from '../temporal/hide-settings';
import {
  readServerInfo,
  runningServer,
  serverDatabase,
  serverInfoFile,
  serverLock,
  serverLog,
  type ServerInfo,
} from '../temporal/server-info';

const STARTS_TRIED = 5;
const READY_MS = 60_000;
const STOP_MS = 10_000;
const POLL_MS = 50;
const SETTLED_MS = 200;
/** As safe against power failure as SQLite's default, with a quarter of the fsyncs: a study's steps take half the time. */
const DURABLE = ['--sqlite-pragma', 'journal_mode=wal', '--sqlite-pragma', 'synchronous=2'];
/**
 * By default a shard polls for tasks 20 times a second, and a dev server has one shard. An experiment needs 14 polls, so it
 * took at least 0.7 s.
 */
const BRISK = ['transfer', 'timer', 'visibility'].flatMap((queue) => [
  '--dynamic-config-value',
  `history.${queue}ProcessorMaxPollRPS=1000`,
]);

/**
 * Starts the dev server, or finds it running. Callers hold the lock of `up`: one at a time.
 * @throws PortInUse, MissingPrerequisite, ServerUnavailable
 */
export async function ensureDevServer(
  ports: Ports,
  say: Say,
): Promise<{ info: ServerInfo; started: boolean }> {
  const running = await runningServer();
  if (running !== null) {
    checkSamePorts(running, ports);
    if (await isListening(running)) return { info: running, started: false };
    // It has ended since, or never began to listen.
    await terminate(running.owner, { graceMs: STOP_MS });
  }
  await endUnknownServer(say);
  const binary = await ensureTemporal(say);
  await mkdir(serverState(), { recursive: true });
  for (let attempt = 1; ; attempt++) {
    const logged = await boundLog(serverLog());
    const info = await start(binary, await choosePorts(ports, await readServerInfo(), say));
    if (await isListening(info)) return { info, started: true };
    const tail = await tailOfLog(serverLog(), logged);
    // Another process took the free port first.
    if (/address already in use/u.test(tail) && ports.port === undefined && attempt < STARTS_TRIED) continue;
    await terminate(info.owner, { graceMs: STOP_MS });
    throw new ServerUnavailable(`the Temporal dev server did not start: ${tail}`, `see ${serverLog()}`);
  }
}

/** @returns whether one was running */
export async function stopDevServer(): Promise<boolean> {
  const owner = (await runningServer())?.owner ?? (await holderOf(serverLock()));
  if (owner === null) return false;
  await terminate(owner, { graceMs: STOP_MS });
  return true;
}

async function start(
  binary: { path: string; version: string },
  { port, uiPort }: { port: number; uiPort: number },
): Promise<ServerInfo> {
  const content = {
    format: 1 as const,
    address: `${HOST}:${port}`,
    ui: `http://${HOST}:${uiPort}`,
    version: binary.version,
  };
  const owner = await launch({
    // prettier-ignore
    command: [
      binary.path, 'server', 'start-dev', '--ip', HOST, '--port', String(port), '--ui-port', String(uiPort),
      '--db-filename', serverDatabase(), '--log-level', 'warn', ...DURABLE, ...BRISK,
      ...(codecKeys().length === 0 ? [] : ['--ui-codec-endpoint', `http://${HOST}:${CODEC_PORT}`]),
    ],
    cwd: serverState(),
    env: withoutTemporalSettings(process.env),
    log: serverLog(),
    lock: serverLock(),
    name: 'Temporal dev server',
    queued: { file: serverInfoFile(), content },
  });
  if (owner === null) {
    await checkHeldHere(serverLock());
    throw new ServerUnavailable('another command has just started the Temporal dev server', 'try again');
  }
  return { ...content, owner };
}

/** Ends a server whose server.json was removed: no command could find it, and it has the database open. */
async function endUnknownServer(say: Say): Promise<void> {
  const unknown: Owner | null = await holderOf(serverLock());
  if (unknown === null) return;
  say(`restarting our dev server (process ${unknown.pid}): ${serverInfoFile()} is missing`);
  await terminate(unknown, { graceMs: STOP_MS });
}

function checkSamePorts({ address, ui }: ServerInfo, { port, uiPort }: Ports): void {
  const isSame = (port ?? portOf(address)) === portOf(address) && (uiPort ?? portOf(ui)) === portOf(ui);
  if (isSame) return;
  throw new PortInUse(
    `the dev server already runs at ${address} (UI ${ui}), not on the requested ports`,
    'stop it with `npx autoresearch down`, then start it with these ports; studies continue afterwards',
  );
}

/** Waits until it accepts connections. Returns false if it died or took too long. */
async function isListening({ address, owner }: ServerInfo): Promise<boolean> {
  const end = performance.now() + READY_MS;
  while (isAlive(owner) && performance.now() < end) {
    const accepted = await accepts(portOf(address));
    await sleep(accepted ? SETTLED_MS : POLL_MS);
    // Another server may have answered, and ours is about to exit because the port is taken.
    if (accepted) return isAlive(owner);
  }
  return false;
}
