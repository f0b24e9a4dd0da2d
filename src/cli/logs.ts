/** `logs`: what an experiment's training, or its scoring, printed. */
import type { Command } from 'commander';
import { open, readFile } from 'node:fs/promises';
import { StringDecoder } from 'node:string_decoder';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import type { StudyConfig } from '../domain/study';
import { isAlive } from '../process/owner';
import { handle, newCommand } from './command';
import { CliError } from '../studies/errors';
import { clean } from './output';
import { experimentNumber, findShown, studyOptions, takesStudy } from '../studies/find-study';
import { taskLogs, type TaskKind, type TaskLog } from '../studies/task-logs';

const POLL_MS = 300;
const CHUNK_BYTES = 64 * 1024;

const schema = z.object({ ...studyOptions, n: experimentNumber, follow: z.boolean(), score: z.boolean() });

export function logsCommand(): Command {
  const command = takesStudy(
    newCommand({
      name: 'logs',
      examples: [
        'npx autoresearch logs 7',
        'npx autoresearch logs 7 --follow',
        'npx autoresearch logs 7 --score',
      ],
    }).argument('<N>', "the experiment's number"),
  )
    .option('-f, --follow', 'go on until it ends', false)
    .option('--score', 'the scoring instead of the training', false);
  return handle(command, schema, async (out, { n, follow, score, ...choice }) => {
    if (follow && choice.json)
      throw new CliError('usage', '--follow and --json exclude each other', 'leave one out');
    const { config } = await findShown(choice);
    const kind = score ? 'score' : 'train';
    const tasks = (await taskLogs(config, n)).filter((task) => task.kind === kind);
    const latest = tasks.at(-1);
    if (latest === undefined) throw noLog(config, n, kind);
    if (follow) return followLog(latest, () => reread(config, n, latest));
    const text = clean(await readFile(latest.log, 'utf8').catch(() => ''));
    out.answer({ ...latest, text }, text.trimEnd());
  });
}

const noLog = ({ tag }: StudyConfig, number: number, kind: TaskKind): CliError =>
  new CliError(
    'not-found',
    `there is no log of a ${kind === 'train' ? 'training' : 'scoring'} for experiment ${number} of ${tag} on this host`,
    `see what is known of it: \`npx autoresearch show ${number} ${tag}\``,
  );

async function reread(
  config: StudyConfig,
  number: number,
  { kind, run, attempt }: TaskLog,
): Promise<TaskLog | undefined> {
  const tasks = await taskLogs(config, number);
  return tasks.find((task) => task.kind === kind && task.run === run && task.attempt === attempt);
}

const isUnderWay = ({ status }: TaskLog): boolean =>
  status !== null && status.phase !== 'done' && status.phase !== 'stopped' && isAlive(status.owner);

/** Prints what is added until the task has ended, or its runner is gone. */
async function followLog({ log }: TaskLog, latest: () => Promise<TaskLog | undefined>): Promise<void> {
  const file = await open(log, 'r');
  // A chunk may end within a character, or within an escape sequence: only whole lines are cleaned and shown.
  const decoder = new StringDecoder('utf8');
  let line = '';
  try {
    for (;;) {
      const task = await latest();
      const ended = task === undefined || !isUnderWay(task);
      for (;;) {
        const { bytesRead, buffer } = await file.read({ buffer: Buffer.alloc(CHUNK_BYTES) });
        if (bytesRead === 0) break;
        line += decoder.write(buffer.subarray(0, bytesRead));
        const whole = line.lastIndexOf('\n') + 1;
        process.stdout.write(clean(line.slice(0, whole)));
        line = line.slice(whole);
      }
      if (ended) break;
      await sleep(POLL_MS);
    }
    if (line !== '') process.stdout.write(`${clean(line)}\n`);
  } finally {
    await file.close();
  }
}
