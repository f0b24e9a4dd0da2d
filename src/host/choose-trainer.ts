/**
 * Chooses the worker's Python interpreter. Scores of different torch versions are not comparable, so a study uses one torch from start to
 * end. After a release with another torch, the worker uses the old interpreter until the running studies have ended.
 */
import { isAlive } from '../process/owner';
import { torchVersion } from './torch-version';
import type { ServerAddress } from '../temporal/server-address';
import { connect } from '../temporal/connection';
import { openStudies } from '../temporal/executions';
import { controlQueue } from '../temporal/queues';
import { readWorkerInfo } from '../temporal/worker-info';
import { TakeoverRefused } from './takeover';
import type { Say } from '../process/progress';

/**
 * @param installed this release's interpreter
 * @returns `installed`, or the last worker's interpreter while studies of its torch run
 * @throws TakeoverRefused if that one is gone, or AUTORESEARCH_PYTHON names another torch
 */
export async function chooseTrainer(server: ServerAddress, installed: string, say: Say): Promise<string> {
  const last = await readWorkerInfo();
  if (last === null || (last.python === installed && isAlive(last.owner))) return installed;
  const now = await torchOf(installed);
  const there = last.python === installed ? now : await torchOf(last.python);
  // The interpreter at that path may have changed since, such as with a new container image.
  const before = last.torch ?? there;
  if (before === null || now === null || before === now) return installed;
  const studies = await runningStudies(server);
  if (studies.length === 0) return installed;
  const which = `${studies.join(', ')} ${studies.length === 1 ? 'runs' : 'run'} with torch ${before} (${last.python})`;
  if (there === before && (process.env['AUTORESEARCH_PYTHON'] ?? '') === '') {
    say(`${which}; the first \`up\` after they have ended switches to torch ${now}`);
    return last.python;
  }
  throw new TakeoverRefused(
    `${which}, and cannot continue with torch ${now} (${installed})`,
    `until they are stopped, set AUTORESEARCH_PYTHON to an interpreter with torch ${before}, or unset it if it names another ` +
      '(in a container: run the previous image). `up --force` takes over all the same, and the studies pause',
  );
}

/** Null if it has no torch or does not exist. */
const torchOf = (python: string): Promise<string | null> => torchVersion(python).catch(() => null);

async function runningStudies(server: ServerAddress): Promise<string[]> {
  const { client, connection } = await connect(server);
  try {
    return await openStudies(client, controlQueue());
  } finally {
    await connection.close();
  }
}
