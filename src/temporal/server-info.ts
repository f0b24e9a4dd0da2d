/** Describes our own dev server (`server.json`), and names its files. */
import { join } from 'node:path';
import { z } from 'zod';
import { readJsonIfWhole } from '../process/json-file';
import { isAlive, ownerSchema } from '../process/owner';
import { serverState } from '../process/paths';

const serverInfoSchema = z.strictObject({
  format: z.literal(1),
  owner: ownerSchema,
  address: z.string(),
  /** URL of the Temporal UI. */
  ui: z.string(),
  /** The binary's own version text: `1.5.1 (Server 1.29.1, UI 2.42.1)`. */
  version: z.string(),
});
export type ServerInfo = z.infer<typeof serverInfoSchema>;

export const serverInfoFile = (): string => join(serverState(), 'server.json');
/** The server holds this lock for its life. */
export const serverLock = (): string => join(serverState(), 'server.lock');
export const serverLog = (): string => join(serverState(), 'server.log');
export const serverDatabase = (): string => join(serverState(), 'temporal.db');

/** Our last dev server, alive or not; null if there was none or server.json is damaged. */
export const readServerInfo = (): Promise<ServerInfo | null> =>
  readJsonIfWhole(serverInfoFile(), serverInfoSchema);

/** Our running dev server; null if none runs. */
export async function runningServer(): Promise<ServerInfo | null> {
  const info = await readServerInfo();
  return info !== null && isAlive(info.owner) ? info : null;
}
