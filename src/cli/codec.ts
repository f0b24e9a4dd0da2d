/** `autoresearch codec`: lets the Temporal UI show what is encrypted, for as long as this command runs. */
import { once } from 'node:events';
import type { Command } from 'commander';
import { z } from 'zod';
import { codecKeys, EncryptionCodec } from '../temporal/codec';
import { CODEC_PORT, serveCodec } from '../host/codec-server';
import { portOf, PORT, UI_ABOVE } from '../host/ports';
import { runningServer } from '../temporal/server-info';
import { handle, newCommand } from './command';
import { CliError } from '../studies/errors';

const inputSchema = z.object({
  port: z.coerce.number('must be a port').int('must be a port').min(1, 'must be a port').max(65_535),
  uiOrigin: z.array(z.url('must be an origin such as https://temporal.example')).optional(),
});

export function codecCommand(): Command {
  const command = newCommand({
    name: 'codec',
    details:
      'Serves the codec endpoint of the Temporal UI and the `temporal` CLI with the keys of AUTORESEARCH_CODEC_KEY, on 127.0.0.1, ' +
      'until Ctrl-C. A UI that `up` started with that key knows it; in another one enter its address under the glasses at the top.',
    examples: [
      'npx autoresearch codec',
      'npx autoresearch codec --ui-origin https://temporal.example',
      `temporal workflow show -w study-nov21 --codec-endpoint http://127.0.0.1:${CODEC_PORT}`,
    ],
  })
    .option('--port <N>', 'where to listen', String(CODEC_PORT))
    .option('--ui-origin <URL...>', 'whose pages may ask (default: the UI of our own dev server)');
  return handle(command, inputSchema, async (out, { port, uiOrigin }) => {
    const keys = codecKeys();
    if (keys.length === 0) {
      throw new CliError(
        'usage',
        'AUTORESEARCH_CODEC_KEY is not set: nothing is encrypted, or it cannot be decrypted here',
        'set it (or AUTORESEARCH_CODEC_KEY_FILE) as it is set for the worker',
      );
    }
    const origins = uiOrigin?.map((url) => new URL(url).origin) ?? (await ownUi());
    const { url, server } = await serveCodec(new EncryptionCodec(keys), { port, origins });
    out.answer(
      { url, origins, keys: keys.map(({ id }) => id) },
      `codec endpoint ${url} for ${origins.join(', ')}, with key ${keys.map(({ id }) => id).join(', ')}; Ctrl-C ends it`,
    );
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      process.once(signal, () => {
        server.close();
        server.closeAllConnections();
      });
    }
    await once(server, 'close');
  });
}

/** By both names of this host that a browser may know the UI by. */
async function ownUi(): Promise<string[]> {
  const running = await runningServer();
  const port = running === null ? PORT + UI_ABOVE : portOf(running.ui);
  return [`http://127.0.0.1:${port}`, `http://localhost:${port}`];
}
