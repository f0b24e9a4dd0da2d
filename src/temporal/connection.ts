/**
 * The way to the Temporal server: the standard environment variables and profiles of Temporal's own tools
 * (TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE, TEMPORAL_API_KEY, TEMPORAL_TLS…, TEMPORAL_PROFILE), else the dev server of ours.
 */
import { createHash } from 'node:crypto';
import { Client, Connection, type ConnectionOptions } from '@temporalio/client';
import { loadClientConnectConfig } from '@temporalio/envconfig';
import { CodecKeyError, codecKeys, dataConverter, type CodecKey } from './codec';
import type { ServerAddress } from './server-address';
import { runningServer } from './server-info';
import { isLoopback, proxyFor } from './proxy';
import { whyUnreachable } from './why-unreachable';
import { readWorkerInfo, workerInfoFile } from './worker-info';

const CONNECT_MS = 4_000;
/** A page of a history, which gRPC would cut off at 4 MB: the SDK means the same number, and names it in a way that grpc-js ignores. */
const MAX_RECEIVED_BYTES = 128 * 1024 * 1024;
const DEFAULT_NAMESPACE = 'default';

/** No server can be reached: the message says which address and why, `todo` what to do. */
export class ServerUnavailable extends Error {
  override name = 'ServerUnavailable';
  constructor(
    message: string,
    readonly todo: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

export interface Connected extends ServerAddress {
  client: Client;
  connection: Connection;
}

/**
 * Where the user's environment says that the server is; null when it names no address.
 * @throws ServerUnavailable if the profile or its files cannot be read
 */
export function namedServer(): ServerAddress | null {
  const { address, namespace, options } = environment();
  return address === undefined ? null : { address, namespace, options, ui: null, ours: false };
}

/** Names what a connection is let in by, without telling it: a worker keeps what it was started with. */
export const credentialsId = ({ options }: ServerAddress): string =>
  createHash('sha256').update(JSON.stringify(options)).digest('hex').slice(0, 8);

/** The namespace that the environment names, or Temporal's default. */
export const namedNamespace = (): string => environment().namespace;

/**
 * Where the server is. Does not connect.
 * @throws ServerUnavailable if none is named and none of ours runs
 */
export async function serverAddress(): Promise<ServerAddress> {
  const named = namedServer();
  if (named !== null) return named;
  const running = await runningServer();
  if (running === null) {
    throw new ServerUnavailable('no Temporal server is running, and TEMPORAL_ADDRESS names none', UP);
  }
  return { address: running.address, namespace: namedNamespace(), options: {}, ui: running.ui, ours: true };
}

/**
 * Connects a client. The caller closes `connection`.
 * @throws ServerUnavailable within a few seconds if there is no server, or it does not let us in
 * @throws CodecKeyError if what the worker of this host encrypts could not be read here
 */
export async function connect(server?: ServerAddress): Promise<Connected> {
  const target = server ?? (await serverAddress());
  const keys = codecKeys();
  await checkKeys(keys);
  try {
    const connection = await Connection.connect({
      address: target.address,
      ...target.options,
      connectTimeout: CONNECT_MS,
      channelArgs: channelArgs(target.address),
    });
    const client = new Client({
      connection,
      namespace: target.namespace,
      dataConverter: dataConverter(keys),
    });
    return { ...target, connection, client };
  } catch (error) {
    throw await unavailable(target, error, proxyFor(target.address));
  }
}

/** What grpc-js has to be given for a connection to that address. */
export function channelArgs(address: string): NonNullable<ConnectionOptions['channelArgs']> {
  return {
    'grpc.max_receive_message_length': MAX_RECEIVED_BYTES,
    // grpc-js would take http_proxy for this host's own addresses too.
    ...(isLoopback(address) && { 'grpc.enable_http_proxy': 0 }),
  };
}

/** A worker that encrypts is not talked to without its key, nor followed by one that lacks it: the last one counts. */
async function checkKeys(keys: readonly CodecKey[]): Promise<void> {
  const needed = (await readWorkerInfo())?.has.codecKeys[0];
  if (needed === undefined || keys.some(({ id }) => id === needed)) return;
  const have = keys.map(({ id }) => id).join(', ');
  throw new CodecKeyError(
    `the worker of this host encrypts with key ${needed}, and ${have === '' ? 'no AUTORESEARCH_CODEC_KEY' : `only ${have}`} is set here`,
    `set it as it was for \`up\`; to encrypt no more, stop the studies, and remove ${workerInfoFile()}`,
  );
}

/**
 * Says why a server could not be reached, for clients and workers.
 * @param proxy the one it was asked through; workers use none
 */
export async function unavailable(
  server: ServerAddress,
  error: unknown,
  proxy: string | null = null,
): Promise<ServerUnavailable> {
  const { address, ours } = server;
  const through = proxy === null ? '' : `through the proxy ${proxy}: `;
  const reason = `${through}${(await whyUnreachable(server)) ?? deepest(error)}`;
  const todo = ours
    ? `${UP}; if it goes on: \`npx autoresearch down\`, then up again`
    : 'check TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE and the credentials (or the profile in temporal.toml); ' +
      'without them a server of our own is used';
  return new ServerUnavailable(`the Temporal server at ${address} was not reached: ${reason}`, todo, {
    cause: error,
  });
}

const UP = 'start one with `npx autoresearch up`';

function deepest(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.cause instanceof Error) return deepest(error.cause);
  return error.message === 'Failed to connect before the deadline'
    ? `no answer within ${CONNECT_MS / 1000} s`
    : error.message;
}

function environment(): Pick<ServerAddress, 'namespace' | 'options'> & { address: string | undefined } {
  let config: ReturnType<typeof loadClientConnectConfig>;
  try {
    config = loadClientConnectConfig();
  } catch (error) {
    throw new ServerUnavailable(
      `the Temporal profile cannot be used: ${error instanceof Error ? error.message : String(error)}`,
      'mend temporal.toml (TEMPORAL_CONFIG_FILE names it) or unset TEMPORAL_PROFILE',
      { cause: error },
    );
  }
  const { address, tls, apiKey, metadata } = config.connectionOptions;
  return {
    address: address === undefined || address === '' ? undefined : address,
    namespace: config.namespace ?? DEFAULT_NAMESPACE,
    options: {
      ...(tls !== undefined && tls !== null && { tls }),
      ...(typeof apiKey === 'string' && { apiKey }),
      ...(metadata !== undefined && { metadata }),
    },
  };
}
