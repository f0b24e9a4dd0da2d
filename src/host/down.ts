/** Ends the processes that `up` and studies have started on this host. Studies stay open: `up` continues them. */
import { registered } from '../process/register';
import { terminate } from '../process/owner';
import { stopDevServer } from './dev-server';
import { stopWorker } from './worker-process';
import { exclusively } from '../process/exclusive';
import type { Say } from '../process/progress';
import { markDown } from './down-marker';
import { upLock } from './up';

/** A runner gives its candidate 2 s and then kills it. */
const RUNNER_MS = 5_000;

interface Ended {
  /** The work that was running and will be repeated: `nov21/0042 run 1`, `data for study nov21`. */
  work: string[];
  worker: boolean;
  server: boolean;
}

/** Ends the worker first, so that nothing new starts, then runs and data preparations, then the server. */
export async function takeDown(say: Say): Promise<Ended> {
  return exclusively(
    upLock(),
    () => say('another `up` or `down` is running: waiting for it'),
    async () => {
      await markDown();
      const worker = await stopWorker();
      const work = await registered();
      await Promise.all(work.map(({ owner }) => terminate(owner, { graceMs: RUNNER_MS, group: true })));
      return { work: work.map(({ name }) => name), worker, server: await stopDevServer() };
    },
  );
}
