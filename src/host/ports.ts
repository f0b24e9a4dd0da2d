/** Chooses the ports of our own dev server. */
import { connect, createServer } from 'node:net';
import type { Say } from '../process/progress';

/** The dev server is for this host alone. */
export const HOST = '127.0.0.1';
export const PORT = 7233; // Temporal's own default; the UI is 1000 above, as `temporal server start-dev` has it
export const UI_ABOVE = 1000;
const PORTS_TRIED = 50;

export interface Ports {
  /** Port of clients and workers; 7233 or the next free one by default. */
  port?: number | undefined;
  /** Port of the Temporal UI. */
  uiPort?: number | undefined;
}

/** A requested port is taken. The message names it, `todo` has the remedy. */
export class PortInUse extends Error {
  override name = 'PortInUse';
  constructor(
    message: string,
    readonly todo: string,
  ) {
    super(message);
  }
}

/** The requested ports, else those of the last server (its worker and bookmarks use them), else the next free pair. */
export async function choosePorts(
  asked: Ports,
  last: { address: string; ui: string } | null,
  say: Say,
): Promise<{ port: number; uiPort: number }> {
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

/** The port of `127.0.0.1:7233` or `http://127.0.0.1:8233`. */
export const portOf = (address: string): number => Number(address.slice(address.lastIndexOf(':') + 1));

/** True if a server can listen on the port. */
export function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', () => resolve(false));
    probe.listen({ port, host: HOST }, () => probe.close(() => resolve(true)));
  });
}

/** True if a server listens on the port. */
export function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: HOST });
    const end = (answer: boolean): void => {
      socket.destroy();
      resolve(answer);
    };
    socket.once('connect', () => end(true));
    socket.once('error', () => end(false));
  });
}
