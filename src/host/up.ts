/** Everything that a study needs on this host, found or made: what `autoresearch up` and `npm start` do first. */
import { join } from 'node:path';
import { stateRoot } from '../process/paths';
import { findSandbox, type SandboxFound } from '../runner/sandbox';
import { namedServer } from '../temporal/connection';
import { keepHostName } from '../temporal/host-name';
import { ensureServer, type ServerWish } from './server';
import { runningServer } from '../temporal/server-info';
import { ensureWorker } from './worker-process';
import { checkDevices } from './check-devices';
import { checkTakeover } from './check-takeover';
import { exclusively } from '../process/exclusive';
import { keepTrainer } from './keep-trainer';
import { isPutDown, takeUp } from './put-down';
import type { Say } from '../process/progress';
import { ensureTools } from './tools';
import { ensureTrainerPython } from './trainer-python';

export interface UpWish extends ServerWish {
  /** Replaces a worker of another build or torch also where that could not go on with a running study. */
  force?: boolean | undefined;
  /** Nobody asks for it: it ran, and is gone. */
  again?: boolean | undefined;
}

/** Not brought up again, for `down` has been called meanwhile. */
export class WasPutDown extends Error {
  override name = 'WasPutDown';
}

interface Ready {
  server: Awaited<ReturnType<typeof ensureServer>>;
  worker: Awaited<ReturnType<typeof ensureWorker>>;
  /** The trainer's interpreter. */
  python: string;
  sandbox: SandboxFound;
}

/**
 * Makes the trainer's environment, starts server and worker; what is there already is left as it is.
 * Two at once give one server and one worker: the second waits and finds them.
 * @throws MissingPrerequisite, DevicesUnknown, ServerUnavailable, PortInUse, TakeoverRefused, WorkerFailed, HeldElsewhere, WasPutDown
 */
export async function bringUp(wish: UpWish, say: Say): Promise<Ready> {
  return exclusively(
    upLock(),
    () => say('another `up` or `down` is at work: waiting for it'),
    async () => {
      if (wish.again === true && isPutDown()) throw new WasPutDown();
      await takeUp();
      await keepHostName(say);
      const needsBinary = namedServer() === null && (await runningServer()) === null;
      const installed = await (needsBinary ? ensureTools(say) : ensureTrainerPython(say));
      const server = await ensureServer(wish, say);
      if (wish.force !== true) await checkTakeover(server, say);
      const python = wish.force === true ? installed : await keepTrainer(server, installed, say);
      const worker = await ensureWorker(server, python, checkDevices);
      return { server, worker, python, sandbox: await findSandbox() };
    },
  );
}

/** Held while servers and workers of ours are started or stopped. */
export const upLock = (): string => join(stateRoot(), 'up.lock');
