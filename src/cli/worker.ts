/** `autoresearch worker`: `up` that stays, for service managers and containers: keeps server and worker of this host running. */
import type { Command } from 'commander';
import { z } from 'zod';
import { runInForeground } from '../host/foreground';
import { runningWorker, stopWorker, workerLog } from '../host/worker-process';
import { handle, newCommand } from './command';
import { CliError } from '../studies/errors';
import type { Output } from './output';

export function workerCommand(): Command {
  const command = newCommand({
    name: 'worker',
    summary: 'keep server and worker of this host running, in the foreground',
    details:
      'Does what `up` does, then stays: a server of ours or a worker that dies is started again, and finds the runs that went on ' +
      'without it. After `down` it waits for `up`. SIGTERM ends the worker and leaves runs and server alone. For service managers ' +
      '(deploy/systemd/) and containers; the end of a log is told when what wrote it dies.',
    examples: ['npx autoresearch worker', 'npx autoresearch worker --check'],
  })
    .option('--check', 'only tell, by the exit code, whether the worker of this host runs', false)
    .option('--create-namespace', 'make the namespace that TEMPORAL_NAMESPACE names', false);
  const schema = z.object({ check: z.boolean(), createNamespace: z.boolean() });
  return handle(command, schema, (out, { check, createNamespace }) =>
    check ? tellWorker(out) : keepUntilTold(out, createNamespace),
  );
}

async function tellWorker(out: Output): Promise<void> {
  const worker = await runningWorker();
  if (worker === null) {
    throw new CliError(
      'server',
      'no worker runs on this host',
      `see ${workerLog()}, or run \`npx autoresearch up\``,
    );
  }
  out.answer(
    worker,
    `process ${worker.owner.pid}, trains on ${worker.devices.join(', ')}, serves ${worker.address}`,
  );
}

async function keepUntilTold(out: Output, createNamespace: boolean): Promise<void> {
  const end = new AbortController();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => end.abort());
  await runInForeground({ createNamespace }, out.note, end.signal);
  await stopWorker();
}
