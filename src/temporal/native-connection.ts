/** The worker's way to the same server. Apart from connection.ts: it loads the native part of the SDK. */
import { NativeConnection, type NativeConnectionOptions } from '@temporalio/worker';
import { serverAddress, unavailable } from './connection';
import type { ServerAddress } from './server-address';

interface NativeConnected extends ServerAddress {
  connection: NativeConnection;
}

/** @throws ServerUnavailable if there is no server, or it does not let us in */
export async function connectNative(): Promise<NativeConnected> {
  const server = await serverAddress();
  const options: NativeConnectionOptions = { address: server.address, ...server.options };
  try {
    return { ...server, connection: await NativeConnection.connect(options) };
  } catch (error) {
    throw await unavailable(server, error);
  }
}
