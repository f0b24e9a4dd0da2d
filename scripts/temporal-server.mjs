/**
 * Builds the Temporal server and its SQL tool of docker-compose.yml with Go into the cache. The tests of the production
 * topology run them without containers. Takes two minutes and half a gigabyte of memory, once.
 */
import { existsSync } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { compiled } from './bootstrap.mjs';

/** As in docker-compose.yml; test/deploy/compose.test.ts compares. */
export const SERVER_VERSION = '1.29.1';
const MODULE = 'go.temporal.io/server';
/** Commands of that module and their names in the images. */
const PROGRAMS = { 'cmd/server': 'temporal-server', 'cmd/tools/sql': 'temporal-sql-tool' };
const BUILD_MS = 1_800_000;

/** @returns {Promise<string>} the folder of both programs */
export async function ensureTemporalServer(say) {
  const [{ toolCache }, { run }, { exclusively }, { step }, { lastLine }] = await Promise.all(
    [
      'process/paths.js',
      'process/run-program.js',
      'process/exclusive.js',
      'process/progress.js',
      'process/excerpt.js',
    ].map(compiled),
  );
  const folder = join(toolCache(), `temporal-server-${SERVER_VERSION}`);
  const isThere = () => existsSync(folder);
  if (isThere()) return folder;
  const partial = `${folder}.partial`;
  await mkdir(toolCache(), { recursive: true });
  await exclusively(
    `${folder}.lock`,
    () => say('another process is building the Temporal server: waiting for it'),
    async () => {
      if (isThere()) return;
      await rm(partial, { recursive: true, force: true });
      await step(
        say,
        `Temporal server ${SERVER_VERSION} for tests, built with Go (some minutes, once)`,
        async () => {
          const packages = Object.keys(PROGRAMS).map((path) => `${MODULE}/${path}@v${SERVER_VERSION}`);
          const env = { ...process.env, GOBIN: partial, GOFLAGS: `-p=${availableParallelism()}` };
          const built = await run('go', ['install', ...packages], { env, timeoutMs: BUILD_MS });
          if (!built.ok) throw new Error(`go install failed (${built.reason}): ${lastLine(built.stderr)}`);
          for (const [path, name] of Object.entries(PROGRAMS)) {
            await rename(join(partial, path.split('/').at(-1)), join(partial, name));
          }
          await rename(partial, folder);
        },
      );
    },
  );
  return folder;
}
