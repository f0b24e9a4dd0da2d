/** What an installation's runners have left in its state folder: one folder for each attempt of a training or scoring. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { experimentName } from '../../src/domain/experiment';
import { taskStatusSchema, type TaskSpec, type TaskStatus } from '../../src/runner/task';
import type { Service } from './service';

interface Attempt {
  folder: string;
  /** None yet where its runner has just been started. */
  status: TaskStatus | null;
  /**
   * How often a runner has begun to train or score there. A record's `attempts` does not count those that were asked to end and
   * begun anew.
   */
  starts: number;
}

/** The attempts of an experiment's first run, in their order; of the lab that has a study of this tag. */
export function attempts(service: Service, tag: string, number: number, kind: TaskSpec['kind']): Attempt[] {
  const labs = join(service.root, 'state', 'autoresearch', 'labs');
  const runs = readdirSync(labs)
    .map((lab) => join(labs, lab, tag, 'runs', experimentName(number), '1'))
    .filter((run) => existsSync(run));
  return runs.flatMap((run) =>
    readdirSync(run)
      .filter((name) => name.startsWith(`${kind}-`))
      .toSorted()
      .map((name) => attemptIn(join(run, name))),
  );
}

function attemptIn(folder: string): Attempt {
  const [status, log] = [join(folder, 'status.json'), join(folder, 'runner.log')];
  return {
    folder,
    status: existsSync(status) ? taskStatusSchema.parse(JSON.parse(readFileSync(status, 'utf8'))) : null,
    starts: existsSync(log) ? [...readFileSync(log, 'utf8').matchAll(/Z (starting|scoring)$/gmu)].length : 0,
  };
}
