/**
 * A study as one file that needs neither server nor lab: a gzip'ed tar, made of what standard tools read.
 *
 *     export.json                           what is in it (`manifestSchema`)
 *     histories/<workflow>/<run id>.json    each run's events, as the Temporal UI and `temporal workflow show -o json` give
 *                                           them; <workflow> is `study` or `exp-0042`
 *     ledger/                               study.json, results.tsv, experiments/0042.json
 *     study.bundle                          git itself: branch, ledger, candidates, proposals. `git clone -b autoresearch/TAG
 *                                           study.bundle lab`, then `autoresearch fetch study.bundle TAG --lab lab`
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGunzip, createGzip } from 'node:zlib';
import { historyFromJSON, historyToJSON } from '@temporalio/common/lib/proto-utils';
import { z } from 'zod';
import type { StudyConfig } from '../domain/study';
import type { Git } from '../ledger/git';
import { recordedNumbers } from '../ledger/ledger';
import { listTree, readBlobs } from '../ledger/objects';
import { branchRef, ledgerRef, namespace } from '../ledger/refs';
import { packageVersion } from '../temporal/build-id';
import { coverageOf, type Coverage, type RunHistory } from '../temporal/histories';

const MANIFEST = 'export.json';

const manifestSchema = z.object({
  format: z.literal(1),
  tag: z.string(),
  workflowId: z.string(),
  /** ISO 8601. */
  exportedAt: z.string(),
  /** Of this package, when the archive was made. */
  version: z.string(),
  /** How much of the ledger the histories tell; archives of version 0.2 do not say. */
  ledger: z.object({ experiments: z.int(), withoutHistory: z.int() }).optional(),
  histories: z.array(
    z.object({
      /** Never out of the archive's own folder. */
      file: z.string().regex(/^histories\/[\w-]+\/[\w-]+\.json$/),
      workflowId: z.string(),
      runId: z.string(),
      events: z.number(),
    }),
  ),
});

export type Manifest = z.infer<typeof manifestSchema>;
type WrittenManifest = Manifest & { ledger: Coverage };

/** `export` did not write this file, or it is damaged. */
export class ArchiveError extends Error {
  override name = 'ArchiveError';
}

/** Writes the archive whole or not at all. */
export async function writeArchive(
  file: string,
  git: Git,
  { tag, workflowId }: Pick<StudyConfig, 'tag' | 'workflowId'>,
  histories: AsyncIterable<RunHistory>,
): Promise<WrittenManifest> {
  const exportedAt = new Date().toISOString();
  const folder = await mkdtemp(join(dirname(file), `.${basename(file)}.partial-`));
  try {
    const recorded = await recordedNumbers(git, tag);
    const written: Manifest['histories'] = [];
    for await (const { workflowId: id, runId, history } of histories) {
      const workflow = id === workflowId ? 'study' : id.slice(workflowId.length + 1);
      const path = join('histories', workflow, `${runId}.json`);
      await mkdir(join(folder, dirname(path)), { recursive: true });
      await writeFile(join(folder, path), historyToJSON(history));
      written.push({ file: path, workflowId: id, runId, events: history.events?.length ?? 0 });
    }
    const manifest: WrittenManifest = {
      format: 1,
      tag,
      workflowId,
      exportedAt,
      version: packageVersion(),
      ledger: coverageOf(workflowId, recorded, written),
      histories: written,
    };
    await mkdir(join(folder, 'histories'), { recursive: true });
    await writeLedger(git, tag, join(folder, 'ledger'));
    await writeBundle(git, tag, join(folder, 'study.bundle'));
    await writeFile(join(folder, MANIFEST), `${JSON.stringify(manifest, null, 2)}\n`);
    const packed = join(folder, 'packed');
    const tar = startTar(['-cf', '-', '-C', folder, MANIFEST, 'ledger', 'study.bundle', 'histories']);
    await Promise.all([pipeline(tar.child.stdout, createGzip(), createWriteStream(packed)), tar.ended]);
    await rename(packed, file);
    return manifest;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function writeLedger(git: Git, tag: string, folder: string): Promise<void> {
  const entries = await listTree(git, ledgerRef(tag));
  const contents = await readBlobs(
    git,
    entries.map(({ id }) => id),
  );
  for (const [index, { path }] of entries.entries()) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), contents[index] ?? '');
  }
}

async function writeBundle(git: Git, tag: string, path: string): Promise<void> {
  const places = [branchRef(tag), ledgerRef(tag), `${namespace(tag)}/`];
  const refs = await git.text(['for-each-ref', '--format=%(refname)', ...places]);
  await git.bytes(['bundle', 'create', '--quiet', path, '--stdin'], { input: `${refs}\n` });
}

export interface OpenArchive {
  manifest: Manifest;
  histories(): AsyncGenerator<RunHistory>;
  /** Takes away what was unpacked. */
  close(): Promise<void>;
}

/** @throws ArchiveError */
export async function openArchive(file: string): Promise<OpenArchive> {
  const folder = await mkdtemp(join(tmpdir(), 'autoresearch-archive-'));
  const close = (): Promise<void> => rm(folder, { recursive: true, force: true });
  try {
    const plain = join(folder, 'archive.tar');
    await pipeline(createReadStream(file), createGunzip(), createWriteStream(plain));
    // Only what replaying needs: the rest is for people and git.
    await startTar(['-xf', plain, '-C', folder, '--no-same-owner', MANIFEST, 'histories']).ended;
    await rm(plain);
    const manifest = manifestSchema.parse(JSON.parse(await readFile(join(folder, MANIFEST), 'utf8')));
    return { manifest, close, histories: () => readHistories(file, folder, manifest) };
  } catch (error) {
    await close();
    const why = error instanceof z.ZodError ? z.prettifyError(error) : String(error);
    throw new ArchiveError(`${file} is no archive that \`autoresearch export\` made: ${why}`, {
      cause: error,
    });
  }
}

async function* readHistories(
  archive: string,
  folder: string,
  { histories }: Manifest,
): AsyncGenerator<RunHistory> {
  for (const { file, workflowId, runId } of histories) {
    try {
      const history = historyFromJSON(JSON.parse(await readFile(join(folder, file), 'utf8')));
      yield { workflowId, runId, history };
    } catch (error) {
      throw new ArchiveError(`${file} in ${archive} is not a history: ${String(error)}`, { cause: error });
    }
  }
}

function startTar(args: string[]) {
  const child = spawn('tar', args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text));
  const ended = once(child, 'close').then(([code]) => {
    if (code !== 0) throw new Error(`tar: ${said.trim() || `exit code ${String(code)}`}`);
  });
  return { child, ended };
}
