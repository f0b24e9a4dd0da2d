/** `autoresearch up`: makes the trainer's environment, starts server and worker. Other commands that start studies do it first. */
import { join } from 'node:path';
import { stateRoot } from '../process/paths';
import { findSandbox, type SandboxFound } from '../runner/sandbox';
import { namedServer } from '../temporal/connection';
import { saveHostName } from '../temporal/host-name';
import { telemetry } from '../temporal/telemetry';
import { workerSettings } from '../temporal/worker-settings';
import { ensureServer, type ServerWish } from './server';
import { runningServer } from '../temporal/server-info';
import { ensureWorker } from './worker-process';
import { checkDevices } from './check-devices';
import { checkTakeover } from './takeover';
import { exclusively } from '../process/exclusive';
import { chooseTrainer } from './choose-trainer';
import { isDown, clearDown } from './down-marker';
import type { Say } from '../process/progress';
import { ensureTools } from './tools';
import { ensureTrainerPython } from './trainer-python';

export interface UpWish extends ServerWish {
  /** Replaces a worker of another build or torch even if a running study cannot continue with the new one. */
  force?: boolean | undefined;
  /** A restart after a death, not a user's request. */
  again?: boolean | undefined;
}

/** Not restarted, because `down` was called. */
export class StoppedByDown extends Error {
  override name = 'StoppedByDown';
}

interface Ready {
  server: Awaited<ReturnType<typeof ensureServer>>;
  worker: Awaited<ReturnType<typeof ensureWorker>>;
  /** The trainer's interpreter. */
  python: string;
  sandbox: SandboxFound;
}

/**
 * Makes the trainer's environment and starts server and worker, unless they exist. Of two concurrent calls the second waits and
 * finds what the first has started.
 * @throws MissingPrerequisite, DevicesUnknown, ServerUnavailable, PortInUse, TakeoverRefused, WorkerFailed, HeldElsewhere, StoppedByDown
 */
export async function bringUp(wish: UpWish, say: Say): Promise<Ready> {
  return exclusively(
    upLock(),
    () => say('another `up` or `down` is running: waiting for it'),
    async () => {
      if (wish.again === true && isDown()) throw new StoppedByDown();
      await clearDown();
      await saveHostName(say);
      const needsBinary = namedServer() === null && (await runningServer()) === null;
      const installed = await (needsBinary ? ensureTools(say) : ensureTrainerPython(say));
      const server = await ensureServer(wish, say);
      if (wish.force !== true) await checkTakeover(server, say);
      const python = wish.force === true ? installed : await chooseTrainer(server, installed, say);
      const worker = await ensureWorker(server, python, checkNewWorker);
      return { server, worker, python, sandbox: await findSandbox() };
    },
  );
}

/** A worker with invalid settings must not cost the running one. @throws MissingPrerequisite, DevicesUnknown */
async function checkNewWorker(): Promise<void> {
  workerSettings();
  telemetry(process.env);
  await checkDevices();
}

/** Held while server and worker are started or stopped. */
export const upLock = (): string => join(stateRoot(), 'up.lock');
