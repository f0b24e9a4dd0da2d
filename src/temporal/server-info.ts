/** What is known of the dev server of ours (`server.json`), and where its files lie. */
import { join } from 'node:path';
import { z } from 'zod';
import { readJsonIfWhole } from '../process/json-file';
import { isAlive, ownerSchema } from '../process/owner';
import { serverState } from '../process/paths';

const serverInfoSchema = z.strictObject({
  format: z.literal(1),
  owner: ownerSchema,
  address: z.string(),
  /** The Temporal UI. */
  ui: z.string(),
  /** As the binary tells it: `1.5.1 (Server 1.29.1, UI 2.42.1)`. */
  version: z.string(),
});
export type ServerInfo = z.infer<typeof serverInfoSchema>;

export const serverInfoFile = (): string => join(serverState(), 'server.json');
/** Held by the server for its life. */
export const serverLock = (): string => join(serverState(), 'server.lock');
export const serverLog = (): string => join(serverState(), 'server.log');
export const serverDatabase = (): string => join(serverState(), 'temporal.db');

/** The last dev server of ours, alive or not; null if there never was one, or what is known of it is damaged. */
export const readServerInfo = (): Promise<ServerInfo | null> =>
  readJsonIfWhole(serverInfoFile(), serverInfoSchema);

/** The dev server of ours that runs now; null when none does. */
export async function runningServer(): Promise<ServerInfo | null> {
  const info = await readServerInfo();
  return info !== null && isAlive(info.owner) ? info : null;
}
