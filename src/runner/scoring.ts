/** One scoring: the locked scorer in a sandbox of its own, which sees the data and the hand-in and writes one file. */
import { constants } from 'node:fs';
import { mkdir, open, rm, statfs } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { Clock, TICK_MS } from './clock';
import { Contained, type ContainedExit } from './contained';
import { exitFailure } from './failure';
import { GRAPH_FILE, WEIGHTS_FILE } from './handin';
import { enclose } from './sandbox';
import type { ScoreSpec } from './task';
import type { Ending, TaskContext } from './training';
import { Watch } from './watch';

const PLACES = { handin: '/handin', data: '/data', out: '/out' };
const SCORE_FILE = 'score.json';
const MAX_SCORE_BYTES = 64 * 1024;
/** The scorer's word for "the hand-in is at fault". */
const AT_FAULT = 3;
/** As Python says it. */
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

/** Scores. Everything that it has started is gone when it resolves. */
export async function score(spec: ScoreSpec, context: TaskContext): Promise<Ending> {
  const out = join(context.folder, 'out');
  await rm(out, { recursive: true, force: true });
  await mkdir(out);
  const { sandbox } = context.status.value;
  const enclosed = await enclose(sandbox, {
    ...spec,
    command: [
      ...spec.command,
      '--graph',
      `${PLACES.handin}/${GRAPH_FILE}`,
      '--weights',
      `${PLACES.handin}/${WEIGHTS_FILE}`,
      '--data',
      PLACES.data,
      '--out',
      `${PLACES.out}/${SCORE_FILE}`,
    ],
    scratch: join(context.folder, 'scratch'),
    folders: [
      { host: spec.handin, place: PLACES.handin, writable: false },
      { host: spec.data, place: PLACES.data, writable: false },
      { host: out, place: PLACES.out, writable: true },
    ],
    env: {},
  });
  const onOutput = (chunk: Buffer): void => context.log.append(chunk);
  const scorer = await Contained.start(sandbox, enclosed, onOutput, context.device);
  const overdue = cap(spec.scoreSeconds);
  let watch: Watch | undefined;
  try {
    const ended = await Promise.race<ContainedExit | Ending>([
      scorer.exited,
      overdue.ending,
      stopped(context.stop),
      new Promise((resolve) => {
        watch = new Watch(scorer, (reason, message) => resolve({ kind: 'failed', reason, message }));
      }),
    ]);
    if ('kind' in ended) return ended;
    return await verdict(ended, join(out, SCORE_FILE), context);
  } finally {
    watch?.end();
    overdue.clear();
    await scorer.kill();
  }
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
  // The scorer is ours, and so is the disk: no candidate is to blame.
  if (NO_ROOM.test(log)) throw new Error(`the scorer found no room on the disk of ${file}`);
  const { reason, message } = exitFailure(exit, log);
  return { kind: 'failed', reason: reason === 'error' ? 'unscorable' : reason, message };
}

/** Less than an answer needs. */
async function isFull(file: string): Promise<boolean> {
  const { bavail, bsize } = await statfs(dirname(file));
  return bavail * bsize < 2 * MAX_SCORE_BYTES;
}

/** What the scorer wrote; undefined when that is not a JSON file of a sane size. Follows no link. */
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

function cap(seconds: number): { ending: Promise<Ending>; clear: () => void } {
  const clock = new Clock();
  let timer: NodeJS.Timeout | undefined;
  const ending = new Promise<Ending>((resolve) => {
    timer = setInterval(() => {
      if (clock.now() < seconds) return;
      resolve({ kind: 'failed', reason: 'timeout', message: `score cap: not scored after ${seconds} s` });
    }, TICK_MS);
  });
  return { ending, clear: () => clearInterval(timer) };
}

/** The scorer keeps nothing that would be lost: it is ended without asking. */
function stopped(stop: AbortSignal): Promise<Ending> {
  return new Promise((resolve) => {
    const end = (): void => resolve({ kind: 'stopped' });
    stop.addEventListener('abort', end);
    if (stop.aborted) end();
  });
}
