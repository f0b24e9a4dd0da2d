/** `autoresearch worker`: `up` that stays, for service managers and containers: restarts the server and the worker of this host when they die. */
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
    details:
      'Does what `up` does, then stays: it restarts our own server or the worker when one dies, and a new worker finds the runs that went on ' +
      'without it. After `down` it waits for `up`. SIGTERM ends the worker and leaves runs and server alone. For service managers ' +
      '(deploy/systemd/) and containers. It prints the tail of a process’s log when that process exits.',
    examples: ['npx autoresearch worker', 'npx autoresearch worker --check'],
  })
    .option('--check', 'only check whether the worker of this host runs; the exit code says so', false)
    .option('--create-namespace', 'make the namespace that TEMPORAL_NAMESPACE names', false);
  const schema = z.object({ check: z.boolean(), createNamespace: z.boolean() });
  return handle(command, schema, (out, { check, createNamespace }) =>
    check ? reportWorker(out) : runUntilSignal(out, createNamespace),
  );
}

async function reportWorker(out: Output): Promise<void> {
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

async function runUntilSignal(out: Output, createNamespace: boolean): Promise<void> {
  const end = new AbortController();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => end.abort());
  await runInForeground({ createNamespace }, out.note, end.signal);
  await stopWorker();
}
