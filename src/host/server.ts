/** The Temporal server that studies use: the one that the environment names, or the dev server of ours. */
import { goneWithin, type Owner } from '../process/owner';
import { CodecKeyError } from '../temporal/codec';
import type { ServerAddress } from '../temporal/server-address';
import { connect, namedNamespace, namedServer } from '../temporal/connection';
import { ensureDevServer } from './dev-server';
import type { Ports } from './ports';
import { prepareNamespace } from '../temporal/namespace';
import type { Say } from '../process/progress';

/** So long a server of ours that lives and takes no calls is waited for: it begins, is frozen, or ends and lets go of its clients. */
const PATIENCE_MS = 20_000;
const AGAIN_MS = 500;
/** That die just when they have begun. */
const SERVERS_TRIED = 3;

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

/** @returns why not, where it died meanwhile. @throws what it does not get over in time */
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
