/**
 * A study is scored with one torch from its beginning to its end: another one is another league, where its scores say nothing.
 * So a release that brings another torch leaves the one before to the studies that run, for as long as they do.
 */
import { isAlive } from '../process/owner';
import { torchVersion } from './torch-version';
import type { ServerAddress } from '../temporal/server-address';
import { connect } from '../temporal/connection';
import { openStudies } from '../temporal/executions';
import { controlQueue } from '../temporal/queues';
import { readWorkerInfo } from '../temporal/worker-info';
import { TakeoverRefused } from './check-takeover';
import type { Say } from '../process/progress';

/**
 * @param installed the interpreter that this release trains with
 * @returns the one that the worker is to train with: that, or the last worker's while studies of its torch run
 * @throws TakeoverRefused if theirs is gone, or AUTORESEARCH_PYTHON names another
 */
export async function keepTrainer(server: ServerAddress, installed: string, say: Say): Promise<string> {
  const last = await readWorkerInfo();
  if (last === null || (last.python === installed && isAlive(last.owner))) return installed;
  const now = await torchOf(installed);
  const there = last.python === installed ? now : await torchOf(last.python);
  // What is there by that name need not be what the last worker had: a container's image was replaced.
  const before = last.torch ?? there;
  if (before === null || now === null || before === now) return installed;
  const studies = await runningStudies(server);
  if (studies.length === 0) return installed;
  const which = `${studies.join(', ')} ${studies.length === 1 ? 'runs' : 'run'} with torch ${before} (${last.python})`;
  if (there === before && (process.env['AUTORESEARCH_PYTHON'] ?? '') === '') {
    say(`${which}, which stays so long; torch ${now} comes with the first \`up\` after that`);
    return last.python;
  }
  throw new TakeoverRefused(
    `${which}, and could not go on with torch ${now} (${installed})`,
    `until they are stopped, let AUTORESEARCH_PYTHON name an interpreter with torch ${before}, or unset it where it names another ` +
      '(in a container: run the image before). `up --force` takes over all the same, and they pause',
  );
}

/** Null where it has none, or is not there. */
const torchOf = (python: string): Promise<string | null> => torchVersion(python).catch(() => null);

async function runningStudies(server: ServerAddress): Promise<string[]> {
  const { client, connection } = await connect(server);
  try {
    return await openStudies(client, controlQueue());
  } finally {
    await connection.close();
  }
}
