/** The Temporal server that studies use: the one that the environment names, or the dev server of ours. */
import { goneWithin } from '../process/owner';
import { CodecKeyError } from './codec';
import { connect, namedNamespace, namedServer, type ServerAddress } from './connection';
import { ensureDevServer } from './dev-server';
import type { Ports } from './ports';
import { prepareNamespace } from './namespace';
import type { Say } from '../setup/progress';

/** A server that was told to end lets go of its clients first. */
const ENDING_MS = 10_000;

interface ReadyServer extends ServerAddress {
  /** `named` by the environment, `started` just now, or `running` before. */
  state: 'named' | 'started' | 'running';
  /** What could not be prepared on it, a line each. */
  warnings: string[];
}

export interface ServerWish extends Ports {
  /** On a server that the environment names, too. */
  createNamespace?: boolean | undefined;
}

/**
 * Finds or starts the server and readies its namespace. Callers hold the lock of `up`: one at a time.
 * @throws ServerUnavailable, PortInUse, MissingPrerequisite
 */
export async function ensureServer(wish: ServerWish, say: Say): Promise<ReadyServer> {
  const named = namedServer();
  if (named !== null) return prepare(named, 'named', wish.createNamespace ?? false);
  const { info, started } = await ensureDevServer(wish, say);
  const server = { address: info.address, namespace: namedNamespace(), options: {}, ui: info.ui, ours: true };
  try {
    return await prepare(server, started ? 'started' : 'running', true);
  } catch (error) {
    if (started || error instanceof CodecKeyError) throw error;
    // Found while it was ending: it still lived, and took no calls any more.
    if (!(await goneWithin(info.owner, ENDING_MS))) throw error;
    return ensureServer(wish, say);
  }
}

async function prepare(
  server: ServerAddress,
  state: ReadyServer['state'],
  createNamespace: boolean,
): Promise<ReadyServer> {
  const connected = await connect(server);
  try {
    return { ...server, state, warnings: await prepareNamespace(connected, createNamespace) };
  } finally {
    await connected.connection.close();
  }
}
