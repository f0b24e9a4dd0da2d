/** Provides the Temporal server: the one that the environment names, else our own dev server. */
import { goneWithin, type Owner } from '../process/owner';
import { CodecKeyError } from '../temporal/codec';
import type { ServerAddress } from '../temporal/server-address';
import { connect, namedNamespace, namedServer } from '../temporal/connection';
import { ensureDevServer } from './dev-server';
import type { Ports } from './ports';
import { prepareNamespace } from '../temporal/namespace';
import type { Say } from '../process/progress';

/** How long to wait for a running dev server that takes no calls: it may be starting, frozen or ending. */
const PATIENCE_MS = 20_000;
const AGAIN_MS = 500;
/** Restarts of servers that die right after their start. */
const SERVERS_TRIED = 3;

interface ReadyServer extends ServerAddress {
  /** `named` by the environment, `started` by this call, or `running` before. */
  state: 'named' | 'started' | 'running';
  /** Warnings of `prepareNamespace`. */
  warnings: string[];
}

export interface ServerWish extends Ports {
  /** Also on a server that the environment names. */
  createNamespace?: boolean | undefined;
}

/**
 * Finds or starts the server and prepares its namespace. Callers hold the lock of `up`.
 * @throws ServerUnavailable, PortInUse, MissingPrerequisite
 */
export async function ensureServer(wish: ServerWish, say: Say): Promise<ReadyServer> {
  const named = namedServer();
  if (named !== null) return prepare(named, 'named', wish.createNamespace ?? false);
  for (let tried = 1; ; tried++) {
    const { info, started } = await ensureDevServer(wish, say);
    const server = {
      address: info.address,
      namespace: namedNamespace(),
      options: {},
      ui: info.ui,
      ours: true,
    };
    const ready = await prepareWhileAlive(server, info.owner, started ? 'started' : 'running');
    if (!(ready instanceof Error)) return ready;
    if (tried === SERVERS_TRIED) throw ready;
  }
}

/** @returns the error if the server died. @throws the error if it lives and does not recover in time */
async function prepareWhileAlive(
  server: ServerAddress,
  owner: Owner,
  state: ReadyServer['state'],
): Promise<ReadyServer | Error> {
  const end = performance.now() + PATIENCE_MS;
  for (;;) {
    try {
      return await prepare(server, state, true);
    } catch (error) {
      if (!(error instanceof Error) || error instanceof CodecKeyError) throw error;
      if (await goneWithin(owner, AGAIN_MS)) return error;
      if (performance.now() > end) throw error;
    }
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
