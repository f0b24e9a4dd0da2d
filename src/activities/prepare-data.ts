/**
 * The study's data: made once by the lab's locked prepare.py, shared by all studies that ask for the same, and pinned
 * for this one. The preparer is detached, one at a time: a worker that dies in the middle finds it again.
 */
import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { cancellationDetails, Context } from '@temporalio/activity';
import { z } from 'zod';
import type { StudyConfig } from '../domain/study';
import type { LabConfig } from '../labs/lab-yaml';
import { manifestSchema, type Manifest } from '../labs/model/data';
import { exportTree } from '../labs/export';
import { Git } from '../ledger/git';
import { readText } from '../ledger/objects';
import { holderOf } from '../process/detach';
import { lastLines } from '../process/excerpt';
import { readJson, readJsonIfWhole, writeJsonAtomic } from '../process/json-file';
import { launchRegistered, registered, unregister } from '../process/register';
import { boundLog } from '../process/log-file';
import { isAlive, terminate, type Owner } from '../process/owner';
import { packageRoot } from '../process/package-root';
import { dataCache, studyState } from '../process/paths';
import { isEnded } from '../runs/ended';
import type { StudyRef } from '../domain/run';

export interface PreparedData {
  /** Holds manifest.json and the files that it names. */
  folder: string;
  /** SHA-256 of what runs and scores depend on: equal data has an equal hash, wherever it came from. */
  hash: string;
}

/** The data cannot be prepared as lab.yaml asks for it; the message says why. */
export class DataError extends Error {
  override name = 'DataError';
}

/** The data that the study was opened with is not there any more: opened anew, it is prepared again. */
class DataGone extends DataError {
  override name = 'DataGone';
}

const POLL_MS = 250;
const STOP_MS = 2_000;
/** Between two looks at a preparer that cannot be seen from here: of another host, or container, with the same cache. */
const UNSEEN_MS = 2_000;
const TAIL_CHARACTERS = 2000;
/** prepare.py exits with 2 when its request or the text is at fault; 0 without a manifest is a fault of its own. */
const LASTING_CODES = [0, 2];
/** What a preparer may need of the worker's environment: no keys. */
const ENVIRONMENT = [
  'PATH',
  'HOME',
  'LANG',
  'TMPDIR',
  'HTTP_PROXY',
  'HTTPS_PROXY',
  'NO_PROXY',
  'ALL_PROXY',
  'SSL_CERT_FILE',
  'SSL_CERT_DIR',
];

const pinSchema = z.strictObject({ folder: z.string(), hash: z.string() }) satisfies z.ZodType<PreparedData>;
const pinOf = ({ labId, tag }: Pick<StudyConfig, 'labId' | 'tag'>): string =>
  join(studyState(labId, tag), 'data.json');

/** The hash of the data that a study was opened with; undefined where that is not known. */
export async function pinnedHash(study: Pick<StudyConfig, 'labId' | 'tag'>): Promise<string | undefined> {
  return (await readJsonIfWhole(pinOf(study), pinSchema))?.hash;
}

/** The data that a study was opened with. @throws DataGone if it is not there */
export async function studyData(study: Pick<StudyConfig, 'labId' | 'tag'>): Promise<PreparedData> {
  const pinned = await readJsonIfWhole(pinOf(study), pinSchema);
  if (pinned !== null && (await readManifest(pinned.folder)) !== null) return pinned;
  throw new DataGone(`the data of study ${study.tag} is gone: it is prepared again`);
}

/**
 * Prepares the study's data, or finds it.
 * @param python the trainer's interpreter
 * @throws DataError if the lab's preparer says that its request or the text is at fault
 */
export async function prepareData(study: StudyConfig, lab: LabConfig, python: string): Promise<PreparedData> {
  const pinned = await readJsonIfWhole(pinOf(study), pinSchema);
  if (pinned !== null && (await readManifest(pinned.folder)) !== null) return pinned;
  const source = sourceOf(study.lab, lab.data.source);
  const folder = join(dataCache(), await keyOf(study, lab, source));
  const manifest =
    (await readManifest(folder)) ?? (await runPreparer(study, lab, { python, source, folder }));
  const data = { folder, hash: hashOf(manifest) };
  await mkdir(studyState(study.labId, study.tag), { recursive: true });
  await writeJsonAtomic(pinOf(study), data);
  return data;
}

function readManifest(folder: string): Promise<Manifest | null> {
  return readJson(join(folder, 'manifest.json'), manifestSchema);
}

function hashOf({ vocabulary, bos, row, train, val, token_bytes, tokenizer }: Manifest): string {
  const content = [
    vocabulary,
    bos,
    row,
    train.sha256,
    val.sha256,
    val.bytes,
    token_bytes.sha256,
    tokenizer.sha256,
  ];
  return createHash('sha256').update(JSON.stringify(content)).digest('hex');
}

/** A folder is named as seen from the lab. */
function sourceOf(lab: string, source: string): string {
  return source === 'packages' || source === 'climbmix' ? source : resolve(lab, source);
}

/** Equal preparers with equal sources share a folder: what the key is made of is all that the result depends on. */
async function keyOf(
  { lab, base }: StudyConfig,
  { data, locked, score }: LabConfig,
  source: string,
): Promise<string> {
  const git = new Git(lab);
  const hash = createHash('sha256').update(JSON.stringify([data.prepare, source, await identity(source)]));
  // A preparer may import any locked file; only those that are surely of no concern to it are left out.
  const others = ['lab.yaml', ...score.command];
  for (const path of locked.filter((name) => !others.includes(name))) {
    hash.update(JSON.stringify([path, await readText(git, base, path)]));
  }
  return hash.digest('hex').slice(0, 16);
}

/** What tells one state of the source from another. */
async function identity(source: string): Promise<unknown> {
  if (source === 'climbmix') return null;
  if (source === 'packages') return readFile(join(packageRoot(), 'dist', 'package-lock.json'), 'utf8');
  const entries = await readdir(source, { recursive: true, withFileTypes: true }).catch((error: unknown) => {
    throw new DataError(
      `data.source of lab.yaml is "packages", "climbmix" or a folder of text, and there is no folder ${source}`,
      { cause: error },
    );
  });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.path, entry.name));
  return Promise.all(
    files.toSorted().map(async (file) => {
      const { size, mtimeMs } = await stat(file);
      return [file, size, mtimeMs];
    }),
  );
}

interface Preparation {
  python: string;
  source: string;
  folder: string;
}

/** Runs the preparer to its end, or waits for the one that is at it. @throws DataError, or Error where a retry may help */
async function runPreparer(
  study: StudyConfig,
  lab: LabConfig,
  { python, source, folder }: Preparation,
): Promise<Manifest> {
  const [log, lock, exit] = [`${folder}.log`, `${folder}.lock`, `${folder}.exit`] as const;
  const tree = join(studyState(study.labId, study.tag), 'base');
  await exportTree(study, study.base, tree);
  const [program = 'python', ...words] = lab.data.prepare;
  const command = [program === 'python' ? python : program, ...words, '--source', source, '--out', folder];
  const env = {
    ...inherited(),
    AUTORESEARCH_PACKAGES: join(packageRoot(), 'node_modules'),
    // The environment has an inventory, and the tree is compared with git's.
    PYTHONDONTWRITEBYTECODE: '1',
  };
  const name = nameOf(study);
  for (;;) {
    const owner = await launchRegistered({
      command: [...KEEP_EXIT_CODE, exit, ...command],
      cwd: tree,
      env,
      log,
      lock,
      name,
    });
    if (owner !== null && (await isEnded(study))) {
      await terminate(owner, { graceMs: STOP_MS, group: true });
      throw new Error(`${name}: the study was stopped meanwhile`);
    }
    const preparer = owner ?? (await holderOf(lock));
    if (preparer !== null) await ended(preparer, lock, log);
    const manifest = await readManifest(folder);
    if (manifest !== null) return manifest;
    if (owner !== null) throw await failureOf(lab, exit, log);
    if (preparer === null) await Context.current().sleep(UNSEEN_MS);
  }
}

/** Of a preparer that has ended without a manifest. */
async function failureOf(lab: LabConfig, exit: string, log: string): Promise<Error> {
  // A full disk or a power failure may have left nothing of it, which is no code.
  const code = /^\d+$/m.exec(await readFile(exit, 'utf8').catch(() => ''))?.[0];
  const how = code === undefined ? 'was killed' : `ended with exit code ${code} and no manifest.json`;
  const message = `${lab.data.prepare.join(' ')} ${how}: ${await tailOf(log)} (all of it: ${log})`;
  return LASTING_CODES.includes(Number(code ?? 1)) ? new DataError(message) : new Error(message);
}

const nameOf = ({ tag }: StudyRef): string => `data for study ${tag}`;

/** Ends the study's preparer. Another study that waits for it as well, or has the same tag in another lab, begins it again. */
export async function endPreparer(study: StudyRef): Promise<void> {
  const preparing = (await registered()).filter(({ name }) => name === nameOf(study));
  await Promise.all(preparing.map(({ owner }) => terminate(owner, { graceMs: STOP_MS, group: true })));
}

/** The shell writes down how its command ended, for whoever watches by then. */
const KEEP_EXIT_CODE = [
  '/bin/sh',
  '-c',
  'exit=$1; shift; rm -f "$exit"; "$@"; echo $? > "$exit.part" && mv "$exit.part" "$exit"',
  'sh',
];

/** Waits for the preparer. It outlives this worker and this attempt; a study that is stopped takes it along. */
async function ended(owner: Owner, lock: string, log: string): Promise<void> {
  const { cancellationSignal } = Context.current();
  while (isAlive(owner)) {
    try {
      await sleep(POLL_MS, undefined, { signal: cancellationSignal });
    } catch (error) {
      if (cancellationDetails()?.cancelRequested === true)
        await terminate(owner, { graceMs: STOP_MS, group: true });
      throw cancellationSignal.reason ?? error;
    }
    await boundLog(log);
  }
  await unregister(lock);
}

function inherited(): NodeJS.ProcessEnv {
  const names = ENVIRONMENT.flatMap((name) => [name, name.toLowerCase()]);
  return Object.fromEntries(
    names.map((name) => [name, process.env[name]]).filter(([, value]) => value !== undefined),
  );
}

async function tailOf(log: string): Promise<string> {
  const text = await readFile(log, 'utf8').catch(() => '');
  return lastLines(text.slice(-TAIL_CHARACTERS), 5).replaceAll('\n', ' / ').trim();
}
