/** Studies on the smallest lab there is (test/chaos/lab), by a researcher that follows a script: seconds each. */
import { execFileSync } from 'node:child_process';
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import type { ExperimentRecord } from '../../src/domain/experiment';
import { packageRoot } from '../../src/process/package-root';
import type { Service, StatusAnswer } from '../e2e/service';
import { until } from '../workflows/world';

/** In every title, and so in inputs, results, summaries and the study's state. */
export const PLANTED = 'plantedword';

const STEPS = 20;

/** Makes the service's lab and starts a study on it; experiment `slow` trains for 20 seconds. */
export async function startTiny(
  service: Service,
  tag: string,
  { experiments, slow = -1 }: { experiments: number; slow?: number },
): Promise<void> {
  const lab = service.lab();
  cpSync(join(packageRoot(), 'test', 'chaos', 'lab'), lab, { recursive: true });
  const git = (...args: string[]): void => void execFileSync('git', args, { cwd: lab });
  git('init', '--quiet', '--initial-branch', 'main');
  git('add', '--all');
  git('-c', 'user.name=tiny', '-c', 'user.email=tiny@localhost', 'commit', '--quiet', '--message', 'a lab');
  const researcher = `python3 ${join(__dirname, 'propose.py')} ${PLANTED} ${slow}`;
  // prettier-ignore
  await service.ask(
    'start', '--lab', lab, '--tag', tag, '--train-steps', String(STEPS), '--experiments', String(experiments),
    '--researcher', 'command', '--command', researcher,
  );
}

const reached = (service: Service, tag: string, satisfies: (status: StatusAnswer) => boolean) =>
  until(() => service.status(tag), satisfies, 90);

export const trains = (service: Service, tag: string, number: number): Promise<StatusAnswer> =>
  reached(
    service,
    tag,
    ({ current }) => current?.number === number && current.activity?.progress?.phase === 'training',
  );

/** Waits for so many experiments, and gives their records. */
export async function done(service: Service, tag: string, experiments: number): Promise<ExperimentRecord[]> {
  await reached(service, tag, ({ study }) => study.spent.experiments >= experiments);
  return (await service.ask<{ experiments: ExperimentRecord[] }>('history', tag)).experiments;
}

/** Each number once, each trained once, and everything that is kept of the study agrees. */
export async function expectWhole(service: Service, tag: string, experiments: number): Promise<void> {
  const records = await done(service, tag, experiments);
  expect(records.map(({ number }) => number)).toEqual(
    Array.from({ length: experiments }, (_, number) => number),
  );
  expect(records.map(({ verdict, failure }) => [verdict, failure])).not.toContainEqual([
    'crash',
    expect.anything(),
  ]);
  expect(records.map(({ runs }) => runs.map(({ attempts }) => attempts))).toEqual(records.map(() => [1]));
  expect(await service.run('verify', tag)).toMatchObject({ code: 0 });
}
