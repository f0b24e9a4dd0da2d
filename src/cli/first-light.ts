/** What `npm start` does once everything is compiled: a first, bounded study, from set-up to its table of results. */
import { existsSync } from 'node:fs';
import { join, relative } from 'node:path';
import { summarize } from '../domain/experiment';
import { initLab } from '../labs/init';
import { openLab } from '../labs/lab';
import { readLedger } from '../ledger/ledger';
import { freeTag } from '../ledger/refs';
import { asset, packageRoot } from '../process/package-root';
import { isGpu } from '../runner/gpu-file';
import { follow } from './follow';
import { rememberLab } from '../studies/known-labs';
import { withReadyServer, type ReadyServer } from '../studies/launch';
import { request } from '../studies/study-workflow';
import { colour, createOutput } from './output';
import { historyTable, outcome } from './render/history';
import { beginStudy, checkStudy } from './start';
import type { Snapshot } from '../studies/snapshot';
import type { FoundStudy } from '../studies/find-study';

/** In this checkout, git-ignored. */
const LAB = 'labs/first';
/** The baseline and six changes. */
const EXPERIMENTS = 7;
/** Seconds that each run trains: on 2 CPU cores all of it takes about five minutes. */
const CPU_SECONDS = 20;
const GPU_SECONDS = 30;

const say = createOutput(false).note;

/** @returns the exit code */
export const firstLight = (): Promise<number> => withReadyServer(say, firstStudy);

async function firstStudy(server: ReadyServer): Promise<number> {
  const study = await begin(server);
  const { interrupted, last } = await follow(
    study,
    ({ study: { phase } }) => phase === 'paused' || phase === 'stopped',
  );
  if (interrupted) {
    say(whatGoesOn(study.config.tag));
    return 0;
  }
  const isDone = last !== null && last.study.spent.experiments >= EXPERIMENTS;
  // A study at its limit waits for a higher one; this one was only to show how it goes.
  if (isDone && last.study.phase === 'paused') await request(server.client, study.config, 'stop');
  say(await summary(study, last, server));
  return isDone ? 0 : 1;
}

async function begin(server: ReadyServer): Promise<FoundStudy> {
  const directory = join(packageRoot(), LAB);
  if (!existsSync(directory)) {
    await initLab(directory, { trainer: asset('trainer') });
    await rememberLab(directory);
    say(`lab: made ${LAB}`);
  }
  const lab = await openLab(directory);
  const trainSeconds = server.devices.some(isGpu) ? GPU_SECONDS : CPU_SECONDS;
  const checked = await checkStudy({
    lab: directory,
    tag: await freeTag(lab.git, new Date()),
    researcher: 'tpe',
    trainSeconds,
    experiments: EXPERIMENTS,
  });
  const { git, config, link } = await beginStudy(checked, server);
  say(
    `\nstudy ${colour.bold(config.tag)}: the baseline and ${EXPERIMENTS - 1} changes, ` +
      `${trainSeconds} s of training each on ${server.devices.join(', ')}\n`,
  );
  if (link !== null) say(`watch it in Temporal too: ${link}\n`);
  return { git, config };
}

async function summary(
  { git, config }: FoundStudy,
  last: Snapshot | null,
  server: ReadyServer,
): Promise<string> {
  const experiments = (await readLedger(git, config.tag)).map(summarize);
  const parts = [];
  if (experiments.length > 0) parts.push(historyTable(experiments, config));
  if (experiments.length < EXPERIMENTS) {
    parts.push(
      colour.yellow(
        `The study did not get to its end: ${last?.study.reason ?? last?.problem ?? 'it was stopped'}`,
      ),
    );
  }
  parts.push(`${outcome(experiments, config)}\nEach was trained once, so a small gain may be luck.`);
  const next: [string, string][] = [
    ['A study that never stops', `npx autoresearch start --lab ${relative('', config.lab)}`],
    [
      'One experiment in full',
      `npx autoresearch show ${last?.study.incumbent?.experiment ?? 0} ${config.tag}`,
    ],
  ];
  if (server.ui !== null) next.push(['Temporal UI', server.ui]);
  next.push(['Still running', 'Temporal server and worker; `npx autoresearch down` stops both']);
  parts.push(next.map(([name, text]) => `${colour.dim(name.padEnd(26))}${text}`).join('\n'));
  return `\n${parts.join('\n\n')}`;
}

const whatGoesOn = (tag: string): string =>
  `\nThe study goes on without you, to its ${EXPERIMENTS}th experiment:\n` +
  `  see it   npx autoresearch status ${tag} --follow\n` +
  `  end it   npx autoresearch stop ${tag}\n` +
  `  end all  npx autoresearch down`;
