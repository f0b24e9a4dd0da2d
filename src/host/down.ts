/** Ends what `up` and studies have started on this host, and nothing else. Studies stay: `up` goes on with them. */
import { listed } from '../process/listed';
import { terminate } from '../process/owner';
import { stopDevServer } from './dev-server';
import { stopWorker } from './worker-process';
import { exclusively } from '../process/exclusive';
import type { Say } from '../process/progress';
import { putDown } from './put-down';
import { upLock } from './up';

/** A runner has 2 s to hand its candidate the news and then kills it. */
const RUNNER_MS = 5_000;

interface Ended {
  /** `nov21/0042 run 1`, `data for study nov21`: what was under way, and is begun again. */
  work: string[];
  worker: boolean;
  server: boolean;
}

/** Ends the worker first, so that nothing starts anew, then runs and data preparations, then the server. */
export async function takeDown(say: Say): Promise<Ended> {
  return exclusively(
    upLock(),
    () => say('another `up` or `down` is at work: waiting for it'),
    async () => {
      await putDown();
      const worker = await stopWorker();
      const work = await listed();
      await Promise.all(work.map(({ owner }) => terminate(owner, { graceMs: RUNNER_MS, group: true })));
      return { work: work.map(({ name }) => name), worker, server: await stopDevServer() };
    },
  );
}
