/** Studies on the smallest lab there is (test/chaos/lab), by a researcher that follows a script: seconds each. */
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ExperimentRecord } from '../../src/domain/experiment';
import { isAlive, type Owner } from '../../src/process/owner';
import { packageRoot } from '../../src/process/package-root';
import { attempts } from '../e2e/attempts';
import type { Service, StatusAnswer } from '../e2e/service';
import { until } from '../workflows/world';

/** In every title, and so in inputs, results, summaries and the study's state. */
export const PLANTED = 'plantedword';

const STEPS = 20;
/** Each look is a process of its own, which takes half a second from what it looks at. */
const LOOK_MS = 400;

/**
 * Makes the service's lab and starts a study on it.
 * @param held experiments that train until `letGo`; the others take a second
 * @param prepares the seconds that its data takes
 */
export async function startTiny(
  service: Service,
  tag: string,
  { experiments, held = [], prepares = 0.5 }: { experiments: number; held?: number[]; prepares?: number },
): Promise<void> {
  const lab = service.lab();
  cpSync(join(packageRoot(), 'test', 'chaos', 'lab'), lab, { recursive: true });
  const preparer = join(lab, 'prepare.py');
  writeFileSync(preparer, readFileSync(preparer, 'utf8').replace(/^SECONDS = \S+/m, `SECONDS = ${prepares}`));
  const git = (...args: string[]): void => void execFileSync('git', args, { cwd: lab });
  git('init', '--quiet', '--initial-branch', 'main');
  git('add', '--all');
  git('-c', 'user.name=tiny', '-c', 'user.email=tiny@localhost', 'commit', '--quiet', '--message', 'a lab');
  service.handOver(lab);
  const researcher = ['python3', join(__dirname, 'propose.py'), PLANTED, ...held].join(' ');
  // prettier-ignore
  await service.ask(
    'start', '--lab', lab, '--tag', tag, '--train-steps', String(STEPS), '--experiments', String(experiments),
    '--researcher', 'command', '--command', researcher,
  );
}

const reached = (service: Service, tag: string, satisfies: (status: StatusAnswer) => boolean) =>
  until(() => service.status(tag), satisfies, 180, LOOK_MS);

/** Waits until an experiment trains, and gives its runner. */
export async function trains(service: Service, tag: string, number: number): Promise<Owner> {
  await reached(
    service,
    tag,
    ({ current }) => current?.number === number && current.activity?.progress?.phase === 'training',
  );
  // The last heartbeat may be that of a training which has been ended.
  const last = await until(
    () => attempts(service, tag, number, 'train').at(-1)?.status ?? null,
    (status) => status?.phase === 'training' && isAlive(status.owner),
    180,
  );
  return last!.owner;
}

/** Who trained an experiment last. */
export const trainerOf = (service: Service, tag: string, number: number): Owner | undefined =>
  attempts(service, tag, number, 'train').at(-1)?.status?.owner;

/** Lets a training go on that is held, in whichever of its attempts. A folder, for a tree with another file is exported anew. */
export function letGo(service: Service, tag: string, number: number): void {
  const trees = attempts(service, tag, number, 'train').map(({ folder }) => join(folder, 'tree'));
  for (const tree of trees.filter((each) => existsSync(each)))
    mkdirSync(join(tree, 'go'), { recursive: true });
}

/** Waits for so many experiments, and gives their records. */
export async function done(service: Service, tag: string, experiments: number): Promise<ExperimentRecord[]> {
  await reached(service, tag, ({ study }) => study.spent.experiments >= experiments);
  return (await service.ask<{ experiments: ExperimentRecord[] }>('history', tag)).experiments;
}

interface Outcome {
  experiments: {
    number: number;
    crashed: boolean;
    /** Of each run, as its record counts them. */
    attempts: number[];
    /** How often a runner began to. */
    trained: number;
    scored: number;
  }[];
  /** Whether branch, refs, ledger, results.tsv and workflows agree. */
  agrees: boolean;
}

export async function outcome(service: Service, tag: string, experiments: number): Promise<Outcome> {
  const records = await done(service, tag, experiments);
  const { code } = await service.run('verify', tag);
  const begun = (number: number, kind: 'train' | 'score'): number =>
    attempts(service, tag, number, kind).reduce((sum, { starts }) => sum + starts, 0);
  return {
    experiments: records.map(({ number, verdict, runs }) => ({
      number,
      crashed: verdict === 'crash',
      attempts: runs.map((run) => run.attempts),
      trained: begun(number, 'train'),
      scored: begun(number, 'score'),
    })),
    agrees: code === 0,
  };
}

/**
 * Nothing lost, nothing counted twice, nothing trained or scored twice.
 * @param anew experiments whose training was ended on purpose, once, and begun anew
 */
export const whole = (experiments: number, anew: number[] = []): Outcome => ({
  experiments: Array.from({ length: experiments }, (_, number) => ({
    number,
    crashed: false,
    attempts: [1],
    trained: anew.includes(number) ? 2 : 1,
    scored: 1,
  })),
  agrees: true,
});
