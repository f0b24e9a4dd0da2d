/**
 * One scoring: the locked scorer in a sandbox of its own, which sees the data and the submission and writes one file.
 * The scorer's files and environment are compared with the expected ones before and after: otherwise no score counts.
 */
import { constants } from 'node:fs';
import { mkdir, open, rm, statfs } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { algorithmOf, difference, hashTree } from '../../labs/export';
import type { ContainedExit } from '../contained';
import { countFailure } from '../count-failure';
import { exitFailure } from '../failure';
import { GRAPH_FILE, WEIGHTS_FILE } from './submission';
import { checkEnvironment, checkUnchanged, EnvironmentChanged, snapshot, type Snapshot } from '../inventory';
import { runContained } from '../run-contained';
import type { ScoreSpec } from '../task';
import type { Ending, TaskContext } from './training';

const PLACES = { submission: '/submission', data: '/data', out: '/out' };
const SCORE_FILE = 'score.json';
const MAX_SCORE_BYTES = 64 * 1024;
/** The scorer's exit code for a faulty submission. */
const AT_FAULT = 3;
/** Beside the status: a line for each time that the scorer has failed on this submission without blaming it. */
const FAILURES_FILE = 'scorer-failures';
const MAX_FAILURES = 3;
/** Python's messages for a full disk. */
const NO_ROOM = /No space left on device|Disk quota exceeded/;

const scoreSchema = z.object({
  value: z.number(),
  tokens: z.int().nonnegative(),
  bytes: z.int().nonnegative(),
  seconds: z.number().nonnegative(),
  parameters: z.int().nonnegative(),
});
const faultSchema = z.object({
  error: z.object({ reason: z.enum(['rejected', 'unscorable']), message: z.string() }),
});

/**
 * Scores. All its processes have exited when this resolves.
 * @throws EnvironmentChanged if the interpreter, its environment or the locked files differ from the recorded ones, or change meanwhile
 */
export async function score(spec: ScoreSpec, context: TaskContext): Promise<Ending> {
  const environment = await checkEnvironment(spec.python);
  const tree = await checkTree(spec);
  const out = join(context.folder, 'out');
  await rm(out, { recursive: true, force: true });
  await mkdir(out);
  const room = {
    ...spec,
    command: [
      ...isolated(spec.command),
      '--graph',
      `${PLACES.submission}/${GRAPH_FILE}`,
      '--weights',
      `${PLACES.submission}/${WEIGHTS_FILE}`,
      '--data',
      PLACES.data,
      '--out',
      `${PLACES.out}/${SCORE_FILE}`,
    ],
    scratch: join(context.folder, 'scratch'),
    folders: [
      { host: spec.submission, place: PLACES.submission, writable: false },
      { host: spec.data, place: PLACES.data, writable: false },
      { host: out, place: PLACES.out, writable: true },
    ],
    env: {},
  };
  const { sandbox } = context.status.value;
  const seconds = spec.scoreSeconds;
  const end = await runContained(room, { ...context, sandbox, seconds });
  await checkUnchanged('the scorer', tree);
  await checkUnchanged('its environment', environment);
  if (end.kind === 'overdue')
    return { kind: 'failed', reason: 'timeout', message: `score cap: not scored after ${seconds} s` };
  return end.kind === 'exited' ? verdict(end.exit, join(out, SCORE_FILE), context) : end;
}

/** Python ignores the user's variables and packages. The scorer's own folder stays on the path, for its modules. */
const isolated = ([program = '', ...words]: readonly string[]): string[] =>
  program === 'python' ? [program, '-E', '-s', ...words] : [program, ...words];

/** Checks that the tree holds exactly the locked files of the study's base. @returns a snapshot for `checkUnchanged` */
async function checkTree({ tree, blobs }: ScoreSpec): Promise<Snapshot> {
  const before = await snapshot([tree]);
  const differs = difference(await hashTree(tree, algorithmOf(blobs)), blobs);
  if (differs === null) return before;
  throw new EnvironmentChanged(
    `the scorer is not the one of the study's base: ${differs} in ${tree}. Expected git's files; they are exported again`,
  );
}

async function verdict(exit: ContainedExit, file: string, context: TaskContext): Promise<Ending> {
  if (exit.code === 0) {
    const said = scoreSchema.safeParse(await readScore(file));
    if (!said.success) {
      if (await isFull(file))
        throw new Error(`the scorer's answer is not whole: the disk of ${file} is full`);
      return {
        kind: 'failed',
        reason: 'unscorable',
        message: `the scorer left no valid ${SCORE_FILE}: ${said.error.issues[0]?.message}`,
      };
    }
    const { parameters, value, tokens, bytes, seconds } = said.data;
    context.status.update({ parameters, score: { value, tokens, bytes, seconds } });
    return { kind: 'accepted' };
  }
  if (exit.code === AT_FAULT) {
    const said = faultSchema.safeParse(await readScore(file));
    if (said.success) return { kind: 'failed', ...said.data.error };
  }
  const log = context.log.tail();
  // A full disk is a host error: no candidate is to blame.
  if (NO_ROOM.test(log)) throw new Error(`the scorer found no room on the disk of ${file}`);
  const { reason, message } = exitFailure(exit, log);
  if (reason !== 'error') return { kind: 'failed', reason, message };
  if (exit.code !== null && exit.code !== AT_FAULT) await doubt(message, context.folder);
  return { kind: 'failed', reason: 'unscorable', message };
}

/**
 * The scorer failed without blaming the submission. Either the host or its data are broken, or the scorer did not expect such a
 * submission: repeated failures mean the latter.
 * @throws Error while another try is due
 */
async function doubt(message: string, folder: string): Promise<void> {
  const failures = await countFailure(join(folder, FAILURES_FILE), message);
  if (failures < MAX_FAILURES)
    throw new Error(`the scorer failed (${failures} of ${MAX_FAILURES} times): ${message}`);
}

/** True if the disk has no room for an answer. */
async function isFull(file: string): Promise<boolean> {
  const { bavail, bsize } = await statfs(dirname(file));
  return bavail * bsize < 2 * MAX_SCORE_BYTES;
}

/** The scorer's answer; undefined if it is not a JSON file of a sane size. Follows no link. */
async function readScore(path: string): Promise<unknown> {
  try {
    const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
    try {
      const { size } = await file.stat();
      return size > MAX_SCORE_BYTES ? undefined : JSON.parse(await file.readFile('utf8'));
    } finally {
      await file.close();
    }
  } catch {
    return undefined;
  }
}
