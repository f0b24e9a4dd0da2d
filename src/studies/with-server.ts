/** Loads and connects the Temporal client only for commands that need it: loading it takes longer than git takes to answer. */
import type * as ConnectionModule from '../temporal/connection';
import type { Connected } from '../temporal/connection';
import type * as LiveModule from './study-workflow';

export type Live = typeof LiveModule;

/**
 * Connects to the server and gives the functions that ask it; closed afterwards, whatever happens.
 * @throws ServerUnavailable
 */
export async function withServer<T>(work: (server: Connected, live: Live) => Promise<T>): Promise<T> {
  // Not at the top: only now, and only for commands that talk to a server.
  const { connect }: typeof ConnectionModule = require('../temporal/connection');
  const live: Live = require('./study-workflow');
  const server = await connect();
  try {
    return await work(server, live);
  } finally {
    await server.connection.close();
  }
}
