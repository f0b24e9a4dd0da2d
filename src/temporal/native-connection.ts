/** The worker's connection. Apart from connection.ts because it loads the SDK's native module. */
import { NativeConnection, type NativeConnectionOptions } from '@temporalio/worker';
import { serverAddress, unavailable } from './connection';
import type { ServerAddress } from './server-address';

interface NativeConnected extends ServerAddress {
  connection: NativeConnection;
}

/** @throws ServerUnavailable if no server answers or it refuses the credentials */
export async function connectNative(): Promise<NativeConnected> {
  const server = await serverAddress();
  const options: NativeConnectionOptions = { address: server.address, ...server.options };
  try {
    return { ...server, connection: await NativeConnection.connect(options) };
  } catch (error) {
    throw await unavailable(server, error);
  }
}
