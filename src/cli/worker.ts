/** `autoresearch worker`: `up` that stays, for containers and service managers: keeps this host's worker running. */
import type { Command } from 'commander';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { isAlive } from '../process/owner';
import { bringUp } from '../setup/up';
import { endOfLog } from '../process/log-file';
import { runningWorker, stopWorker, workerLog } from '../temporal/worker-process';
import { handle, newCommand } from './command';
import { CliError } from './errors';
import type { Output } from './output';

const LOOK_MS = 500;
/** Before a worker that died is started again; doubled each time, until one has lived for that long. */
const AGAIN_MS = { first: 1_000, most: 60_000 };

export function workerCommand(): Command {
  const command = newCommand({
    name: 'worker',
    summary: 'keep the worker of this host running, in the foreground',
    details:
      'Does what `up` does, then stays: a worker that dies is started again, and finds the runs that went on without it. ' +
      'SIGTERM ends the worker and leaves runs alone. For containers and service managers; its log is told when it dies.',
    examples: ['npx autoresearch worker', 'npx autoresearch worker --check'],
  })
    .option('--check', 'only tell, by the exit code, whether the worker of this host runs', false)
    .option('--create-namespace', 'make the namespace that TEMPORAL_NAMESPACE names', false);
  const schema = z.object({ check: z.boolean(), createNamespace: z.boolean() });
  return handle(command, schema, (out, { check, createNamespace }) =>
    check ? tellWorker(out) : keepWorker(out, createNamespace),
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

async function keepWorker(out: Output, createNamespace: boolean): Promise<void> {
  const end = new AbortController();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => end.abort());
  let pause = AGAIN_MS.first;
  // The first start tells what is wrong and ends; later the server may be away for a while.
  let worker = await start(out, createNamespace);
  let began = performance.now();
  while (!end.signal.aborted) {
    await sleep(LOOK_MS, undefined, { signal: end.signal }).catch(() => undefined);
    if (end.signal.aborted || isAlive(worker)) continue;
    // One that `up` replaced is nobody's death.
    const next = await runningWorker();
    if (next !== null) {
      worker = next.owner;
      continue;
    }
    if (performance.now() - began > AGAIN_MS.most) pause = AGAIN_MS.first;
    out.note(`the worker (process ${worker.pid}) has died: ${await endOfLog(workerLog(), 0)}`);
    await sleep(pause, undefined, { signal: end.signal }).catch(() => undefined);
    pause = Math.min(2 * pause, AGAIN_MS.most);
    if (end.signal.aborted) break;
    began = performance.now();
    worker = await start(out, createNamespace).catch((error: unknown) => {
      out.note(`the worker could not be started: ${error instanceof Error ? error.message : String(error)}`);
      return worker;
    });
  }
  await stopWorker();
}

async function start(out: Output, createNamespace: boolean) {
  const { server, worker } = await bringUp({ createNamespace }, out.note);
  for (const warning of server.warnings) out.note(`warning: ${warning}`);
  const { owner, devices, queues } = worker.info;
  out.note(
    `worker: process ${owner.pid}, trains on ${devices.join(', ')}, serves ${server.namespace} at ${server.address} (${queues.join(', ')})`,
  );
  return owner;
}
