/**
 * Finds or fetches the `temporal` binary for the dev server: the user's own, an earlier download or build, the SDK's download, or the
 * pinned version built with Go. Reports each failure and tries the next.
 */
import { existsSync } from 'node:fs';
import { mkdir, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { asset } from '../process/package-root';
import { toolCache } from '../process/paths';
import { lastLine } from '../process/excerpt';
import { run } from '../process/run-program';
import { exclusively } from '../process/exclusive';
import { MissingPrerequisite } from '../process/missing-prerequisite';
import { step, type Say } from '../process/progress';

/** `go install` refuses later versions: their go.mod has a `replace`. This one supports all that the pinned SDK uses. */
const BUILT_VERSION = '1.5.1';
const MODULE = `github.com/temporalio/cli/cmd/temporal@v${BUILT_VERSION}`;
const DOWNLOAD_MS = 300_000;
const BUILD_MS = 1_200_000; // 3 min 20 s were measured on 2 cores

export interface TemporalBinary {
  path: string;
  /** `1.5.1 (Server 1.29.1, UI 2.42.1)`; a build by Go reports 0.0.0-DEV. */
  version: string;
}

const builtFolder = (): string => join(toolCache(), `temporal-${BUILT_VERSION}`);
/** The SDK names the file after its own version. */
const downloadFolder = (): string => join(toolCache(), 'temporal-download');

/** An installed binary that runs; null if there is none. */
export async function findTemporal(): Promise<TemporalBinary | null> {
  const downloaded = existsSync(downloadFolder()) ? await readdir(downloadFolder()) : [];
  const candidates = [
    'temporal',
    ...downloaded
      .filter((name) => !name.endsWith('.downloading'))
      .map((name) => join(downloadFolder(), name)),
    join(builtFolder(), 'temporal'),
  ];
  for (const path of candidates) {
    const { ok, stdout } = await run(path, ['--version'], { timeoutMs: 20_000 });
    const version = /^temporal version (.+)$/mu.exec(stdout)?.[1];
    if (ok && version !== undefined) return { path, version };
  }
  return null;
}

/**
 * Finds or fetches a binary.
 * @throws MissingPrerequisite with each attempt and its failure
 */
export async function ensureTemporal(say: Say): Promise<TemporalBinary> {
  const found = await findTemporal();
  if (found !== null) return found;
  const lock = join(toolCache(), 'temporal.lock');
  return exclusively(
    lock,
    () => say('another process is fetching the Temporal server: waiting for it'),
    async () => (await findTemporal()) ?? fetch(say),
  );
}

async function fetch(say: Say): Promise<TemporalBinary> {
  const failures = ['`temporal` is not on PATH'];
  for (const attempt of [download, build]) {
    try {
      await attempt(say);
      const binary = await findTemporal();
      if (binary !== null) return binary;
      failures.push('the fetched binary does not run');
    } catch (error) {
      failures.push(error instanceof Error ? error.message : String(error));
    }
    say(failures.at(-1)!);
  }
  throw new MissingPrerequisite(
    `no Temporal server was found, and none could be fetched: ${failures.join('; ')}`,
    'install the Temporal CLI (https://docs.temporal.io/cli) or Go 1.24 or newer, or set TEMPORAL_ADDRESS to a server',
  );
}

async function download(say: Say): Promise<void> {
  await mkdir(downloadFolder(), { recursive: true });
  await step(say, 'Temporal server, by the SDK’s own download', async () => {
    // In its own process, because the SDK's download cannot be cancelled.
    const script = asset('dist', 'host', 'temporal-download.js');
    const { ok, stderr, reason } = await run(process.execPath, [script, downloadFolder()], {
      timeoutMs: DOWNLOAD_MS,
    });
    if (!ok) throw new Error(`the SDK’s download failed (${reason}): ${lastLine(stderr)}`);
  });
}

async function build(say: Say): Promise<void> {
  const go = await run('go', ['version'], { timeoutMs: 20_000 });
  if (!go.ok) throw new Error(`cannot build it with Go: ${go.reason}`);
  const temporary = `${builtFolder()}.partial`;
  await rm(temporary, { recursive: true, force: true });
  await step(say, `Temporal server ${BUILT_VERSION}, built with Go (some minutes, once)`, async () => {
    const env = { ...process.env, GOBIN: temporary, GOFLAGS: '' };
    const { ok, stderr, reason } = await run('go', ['install', MODULE], { env, timeoutMs: BUILD_MS });
    if (!ok) throw new Error(`go install ${MODULE} failed (${reason}): ${lastLine(stderr)}`);
    await rm(builtFolder(), { recursive: true, force: true });
    await rename(temporary, builtFolder());
  });
}
