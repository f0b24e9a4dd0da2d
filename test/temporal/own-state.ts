/** Gives a test its own state folders, and ends all processes in them afterwards. */
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { takeDown } from '../../src/host/down';
import { freePort } from '../ports';

/** Sets XDG_STATE_HOME to a new folder for each test file. Caches are shared: they have the installed tools. */
export function useOwnState(): { home: () => string } {
  const before = { ...process.env };
  let home = '';
  beforeEach(() => {
    home = mkdtempSync(join(tmpdir(), 'autoresearch-state-'));
    for (const name of Object.keys(process.env).filter((each) => each.startsWith('TEMPORAL_')))
      delete process.env[name];
    process.env['XDG_STATE_HOME'] = home;
    process.env['TEMPORAL_CONFIG_FILE'] = join(home, 'temporal.toml');
  });
  afterEach(async () => {
    process.env['XDG_STATE_HOME'] = home;
    await takeDown(() => undefined);
    process.env = { ...before };
    rmSync(home, { recursive: true, force: true });
  });
  return { home: () => home };
}

/** Free ports for our dev server. */
export const freePorts = async (): Promise<{ port: number; uiPort: number }> => ({
  port: await freePort(),
  uiPort: await freePort(),
});

/** A server on 127.0.0.1 that accepts connections and never answers. */
export async function listen(port: number): Promise<ReturnType<typeof createServer>> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
  return server;
}

export function portOf(server: ReturnType<typeof createServer>): number {
  const address = server.address();
  if (address === null || typeof address === 'string')
    throw new Error('the server does not listen on a port');
  return address.port;
}

/** A proxy that refuses and counts connections. */
export async function refusingProxy(): Promise<{ address: string; asked: () => number } & AsyncDisposable> {
  const server = await listen(0);
  let asked = 0;
  server.on('connection', (socket) => {
    asked++;
    socket.destroy();
  });
  return {
    address: `127.0.0.1:${portOf(server)}`,
    asked: () => asked,
    [Symbol.asyncDispose]: async () => {
      server.close();
      await once(server, 'close');
    },
  };
}
