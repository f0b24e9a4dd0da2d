/**
 * Connects to the Temporal server: the one in the environment variables and profiles of Temporal's own tools
 * (TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE, TEMPORAL_API_KEY, TEMPORAL_TLS…, TEMPORAL_PROFILE), else our own dev server.
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
/** For pages of histories: grpc-js's default limit is 4 MB. The SDK sets the same number under a name that grpc-js ignores. */
const MAX_RECEIVED_BYTES = 128 * 1024 * 1024;
const DEFAULT_NAMESPACE = 'default';

/** The server cannot be reached. The message has the address and the reason, `todo` the remedy. */
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
 * The server that the user's environment names; null if it names none.
 * @throws ServerUnavailable if the profile or its files cannot be read
 */
export function namedServer(): ServerAddress | null {
  const { address, namespace, options } = environment();
  return address === undefined ? null : { address, namespace, options, ui: null, ours: false };
}

/** Hash of the credentials, to see whether a running worker was started with the same ones. */
export const credentialsId = ({ options }: ServerAddress): string =>
  createHash('sha256').update(JSON.stringify(options)).digest('hex').slice(0, 8);

/** The environment's namespace, or Temporal's default. */
export const namedNamespace = (): string => environment().namespace;

/**
 * The address of the server. Does not connect.
 * @throws ServerUnavailable if the environment names none and our own does not run
 */
export async function serverAddress(): Promise<ServerAddress> {
  const named = namedServer();
  if (named !== null) return named;
  const running = await runningServer();
  if (running === null) {
    throw new ServerUnavailable('no Temporal server is running, and TEMPORAL_ADDRESS is not set', UP);
  }
  return { address: running.address, namespace: namedNamespace(), options: {}, ui: running.ui, ours: true };
}

/**
 * Connects a client. The caller closes `connection`.
 * @throws ServerUnavailable within a few seconds if no server answers or it refuses the credentials
 * @throws CodecKeyError if this host's worker encrypts with a key that is not set here
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

/** Options for grpc-js. */
export function channelArgs(address: string): NonNullable<ConnectionOptions['channelArgs']> {
  return {
    'grpc.max_receive_message_length': MAX_RECEIVED_BYTES,
    // grpc-js would send loopback addresses through http_proxy too.
    ...(isLoopback(address) && { 'grpc.enable_http_proxy': 0 }),
  };
}

/** Requires the key that this host's last worker encrypts with, so that no later worker or command lacks it. */
async function checkKeys(keys: readonly CodecKey[]): Promise<void> {
  const needed = (await readWorkerInfo())?.has.codecKeys[0];
  if (needed === undefined || keys.some(({ id }) => id === needed)) return;
  const have = keys.map(({ id }) => id).join(', ');
  throw new CodecKeyError(
    `the worker of this host encrypts with key ${needed}, but ${have === '' ? 'AUTORESEARCH_CODEC_KEY is not set' : `only ${have} is set`} here`,
    `set the key that \`up\` had. To stop encrypting, stop the studies and remove ${workerInfoFile()}`,
  );
}

/**
 * The error for a server that could not be reached, for clients and workers.
 * @param proxy the proxy of the attempt; workers use none
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
    ? `${UP}; if that does not help: \`npx autoresearch down\`, then \`npx autoresearch up\``
    : 'check TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE and the credentials (or the profile in temporal.toml). ' +
      'Without them `npx autoresearch up` starts its own server';
  return new ServerUnavailable(`cannot reach the Temporal server at ${address}: ${reason}`, todo, {
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
      'fix temporal.toml (TEMPORAL_CONFIG_FILE names it) or unset TEMPORAL_PROFILE',
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
