/** `autoresearch up`: everything that studies need on this host. */
import type { Command } from 'commander';
import { z } from 'zod';
import { bringUp } from '../host/up';
import { handle, newCommand } from './command';
import { colour } from './output';

const port = z.coerce
  .number('must be a port')
  .int('must be a port')
  .min(1, 'must be a port')
  .max(65_535, 'must be a port');

const inputSchema = z.object({
  port: port.optional(),
  uiPort: port.optional(),
  createNamespace: z.boolean(),
  force: z.boolean(),
});

export function upCommand(): Command {
  const command = newCommand({
    name: 'up',
    details:
      'Starts the Temporal server and the worker, and sets up what is missing. It leaves alone what runs already. ' +
      'TEMPORAL_ADDRESS or a Temporal profile names another server than our own.',
    examples: ['npx autoresearch up', 'npx autoresearch up --port 7300 --ui-port 8300'],
  })
    .option('--port <N>', 'port of the Temporal server (default: 7233, or the next free one)')
    .option('--ui-port <N>', 'port of the Temporal UI (default: 1000 above the other)')
    .option('--create-namespace', 'on a server that TEMPORAL_ADDRESS names, too', false)
    .option(
      '--force',
      'replace a worker of another build also where a running study cannot go on with this one',
      false,
    );
  return handle(command, inputSchema, async (out, wish) => {
    const { server, worker, python, sandbox } = await bringUp(wish, out.note);
    for (const warning of server.warnings) out.note(colour.yellow(`warning: ${warning}`));
    if (sandbox.sandbox === 'none') {
      out.note(
        colour.yellow(
          `warning: runs are NOT in a sandbox (${sandbox.detail}): see \`npx autoresearch doctor\``,
        ),
      );
    }
    const { options: _credentials, ...shown } = server;
    const ui = server.ui === null ? '' : `, UI ${server.ui}`;
    const because = worker.because === null ? '' : `: ${worker.because}`;
    const text = [
      `server   ${server.address}, namespace ${server.namespace}${ui} (${server.state})`,
      `worker   process ${worker.info.owner.pid}, trains on ${worker.info.devices.join(', ')} (${worker.state}${because})`,
      `trainer  ${python}`,
    ];
    out.answer(
      { server: shown, worker: { ...worker.info, state: worker.state }, python, sandbox },
      text.join('\n'),
    );
  });
}
