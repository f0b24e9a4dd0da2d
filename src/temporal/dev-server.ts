/** The dev server of ours: detached, on 127.0.0.1 only, its data in a file. `up` starts it, `down` stops it. */
import { mkdir } from 'node:fs/promises';
import { connect as tcpConnect, createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { holderOf, launch } from '../process/detach';
import { isAlive, terminate, type Owner } from '../process/owner';
import { serverState } from '../process/paths';
import type { Say } from '../setup/progress';
import { ensureTemporal } from './binary';
import { ServerUnavailable } from './connection';
import { endOfLog, rotateLog } from './log-file';
import {
  readServerInfo,
  runningServer,
  serverDatabase,
  serverInfoFile,
  serverLock,
  serverLog,
  type ServerInfo,
} from './server-info';

const HOST = '127.0.0.1';
const PORT = 7233; // Temporal's own default; the UI is 1000 above, as `temporal server start-dev` has it
const UI_ABOVE = 1000;
const PORTS_TRIED = 50;
const STARTS_TRIED = 5;
const READY_MS = 60_000;
const STOP_MS = 10_000;
/** As safe as SQLite's default when the power fails, for a quarter of its fsyncs; a study's steps take half the time. */
const DURABLE = ['--sqlite-pragma', 'journal_mode=wal', '--sqlite-pragma', 'synchronous=2'];

export interface Ports {
  /** For clients and workers; the default is 7233 or the next free one. */
  port?: number | undefined;
  /** For the Temporal UI. */
  uiPort?: number | undefined;
}

/** A port that was asked for is taken: the message says which, `todo` what to do. */
export class PortInUse extends Error {
  override name = 'PortInUse';
  constructor(
    message: string,
    readonly todo: string,
  ) {
    super(message);
  }
}

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
    return { info: running, started: false };
  }
  await endUnknownServer(say);
  const binary = await ensureTemporal(say);
  await mkdir(serverState(), { recursive: true });
  await rotateLog(serverLog());
  for (let attempt = 1; ; attempt++) {
    const info = await start(binary, await choosePorts(ports, say));
    if (await isListening(info)) return { info, started: true };
    const said = await endOfLog(serverLog());
    // Somebody was quicker to take a port that had been free.
    if (/address already in use/u.test(said) && ports.port === undefined && attempt < STARTS_TRIED) continue;
    await terminate(info.owner, { graceMs: STOP_MS });
    throw new ServerUnavailable(`the Temporal dev server did not start: ${said}`, `see ${serverLog()}`);
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
      '--db-filename', serverDatabase(), '--log-level', 'warn', ...DURABLE,
    ],
    cwd: serverState(),
    env: withoutTemporalSettings(process.env),
    log: serverLog(),
    lock: serverLock(),
    name: 'Temporal dev server',
    queued: { file: serverInfoFile(), content },
  });
  if (owner === null) {
    throw new ServerUnavailable('another Temporal dev server of ours has just been started', 'try again');
  }
  return { ...content, owner };
}

/** The user's TEMPORAL_ variables are for clients. */
function withoutTemporalSettings(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !name.startsWith('TEMPORAL_')));
}

/** One that runs without server.json (somebody removed it): nobody could find it, and it has the database open. */
async function endUnknownServer(say: Say): Promise<void> {
  const unknown: Owner | null = await holderOf(serverLock());
  if (unknown === null) return;
  say(`a dev server of ours (process ${unknown.pid}) runs without ${serverInfoFile()}: starting it anew`);
  await terminate(unknown, { graceMs: STOP_MS });
}

function checkSamePorts({ address, ui }: ServerInfo, { port, uiPort }: Ports): void {
  const isSame = (port ?? portOf(address)) === portOf(address) && (uiPort ?? portOf(ui)) === portOf(ui);
  if (isSame) return;
  throw new PortInUse(
    `the dev server already runs at ${address} (UI ${ui}), not on the ports asked for`,
    'stop it with `npx autoresearch down`, then start it with these ports; studies go on afterwards',
  );
}

/** The ports asked for, else those of the last server (its worker and bookmarks know them), else the next free pair. */
async function choosePorts(asked: Ports, say: Say): Promise<{ port: number; uiPort: number }> {
  const last = await readServerInfo();
  const lastPort = last === null ? PORT : portOf(last.address);
  if (asked.port !== undefined || asked.uiPort !== undefined) {
    const port = asked.port ?? lastPort;
    const uiPort = asked.uiPort ?? port + UI_ABOVE;
    for (const wanted of [port, uiPort]) {
      if (await isFree(wanted)) continue;
      throw new PortInUse(`port ${wanted} is in use`, 'free it, or choose another with --port and --ui-port');
    }
    return { port, uiPort };
  }
  if (last !== null && (await isFree(lastPort)) && (await isFree(portOf(last.ui)))) {
    return { port: lastPort, uiPort: portOf(last.ui) };
  }
  for (let port = PORT; port < PORT + PORTS_TRIED; port++) {
    if (!(await isFree(port)) || !(await isFree(port + UI_ABOVE))) continue;
    if (port !== PORT)
      say(
        `port ${PORT} or ${PORT + UI_ABOVE} is in use: the dev server takes ${port} and ${port + UI_ABOVE}`,
      );
    return { port, uiPort: port + UI_ABOVE };
  }
  throw new PortInUse(
    `no free ports from ${PORT} and ${PORT + UI_ABOVE} on`,
    'choose some with --port and --ui-port',
  );
}

const portOf = (address: string): number => Number(address.slice(address.lastIndexOf(':') + 1));

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', () => resolve(false));
    probe.listen({ port, host: HOST }, () => probe.close(() => resolve(true)));
  });
}

/** Waits until it takes connections; false when it has died instead, or takes too long. */
async function isListening({ address, owner }: ServerInfo): Promise<boolean> {
  const end = performance.now() + READY_MS;
  while (isAlive(owner) && performance.now() < end) {
    if (await accepts(portOf(address))) return true;
    await sleep(50);
  }
  return false;
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = tcpConnect({ port, host: HOST });
    const end = (answer: boolean): void => {
      socket.destroy();
      resolve(answer);
    };
    socket.once('connect', () => end(true));
    socket.once('error', () => end(false));
  });
}
