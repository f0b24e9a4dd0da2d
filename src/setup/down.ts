/** Ends what `up` and studies have started on this host, and nothing else. Studies stay: `up` goes on with them. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { readJsonIfWhole } from '../process/json-file';
import { isAlive, terminate, type Owner } from '../process/owner';
import { stateRoot } from '../process/paths';
import { taskStatusSchema } from '../runner/task';
import { stopDevServer } from '../temporal/dev-server';
import { stopWorker } from '../temporal/worker-process';
import { exclusively } from './exclusive';
import type { Say } from './progress';
import { upLock } from './up';

/** A runner has 2 s to hand its candidate the news and then kills it. */
const RUNNER_MS = 5_000;

interface Ended {
  /** `nov21/0042/1` for each run that was under way: it is repeated with the same seed. */
  runs: string[];
  worker: boolean;
  server: boolean;
}

/** Ends the worker first, so that nothing starts anew, then runs, then the server. */
export async function takeDown(say: Say): Promise<Ended> {
  return exclusively(
    upLock(),
    () => say('another `up` or `down` is at work: waiting for it'),
    async () => {
      const worker = await stopWorker();
      const runs = await liveRuns();
      await Promise.all(runs.map(({ owner }) => terminate(owner, { graceMs: RUNNER_MS })));
      return { runs: runs.map(({ name }) => name), worker, server: await stopDevServer() };
    },
  );
}

/** Run folders lie at labs/LAB/TAG/runs/NUMBER/RUN/TASK, each with the status of its runner. */
async function liveRuns(): Promise<{ name: string; owner: Owner }[]> {
  const labs = join(stateRoot(), 'labs');
  let folders: string[][] = [[]];
  for (const level of ['lab', 'tag', 'runs', 'number', 'run', 'task']) {
    const next = await Promise.all(
      folders.map(async (path) =>
        level === 'runs'
          ? [[...path, 'runs']]
          : (await subfolders(join(labs, ...path))).map((name) => [...path, name]),
      ),
    );
    folders = next.flat();
  }
  const runs = await Promise.all(
    folders.map(async (path) => {
      const status = await readJsonIfWhole(join(labs, ...path, 'status.json'), taskStatusSchema);
      if (status === null || status.phase === 'done' || !isAlive(status.owner)) return null;
      const [, tag, , number, run] = path;
      return { name: `${tag}/${number}/${run}`, owner: status.owner };
    }),
  );
  return runs.filter((run) => run !== null);
}

async function subfolders(path: string): Promise<string[]> {
  const entries = await readdir(path, { withFileTypes: true }).catch(() => []);
  return entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
}
