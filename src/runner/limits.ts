/** Finds out by a trial which limits of a run this host's kernel enforces. */
import { supervise, type TaskLimit } from '../process/supervise';
import { Cgroup, MAX_TASKS, NoCgroupError } from './cgroup';
import { smallest } from './sandbox';

export interface LimitsFound {
  /** The mechanism that bounds processes and threads; null if the runner only polls their number. */
  tasks: string | null;
  /** The mechanism that bounds memory; null if the runner only polls it. */
  memory: string | null;
  /** Why there is no cgroup; empty with one. */
  detail: string;
}

const NAMES: Record<TaskLimit, string | null> = {
  rlimit: 'RLIMIT_NPROC',
  namespace: 'pid_max of the PID namespace',
  nothing: null,
};

/** @throws LaunchError without a Python for the trial */
export async function findLimits(): Promise<LimitsFound> {
  try {
    await Cgroup.make().remove();
    return { tasks: 'cgroup v2', memory: 'cgroup v2', detail: '' };
  } catch (error) {
    if (!(error instanceof NoCgroupError)) throw error;
    return { tasks: await taskLimit(), memory: null, detail: error.message };
  }
}

async function taskLimit(): Promise<string | null> {
  const { argv: command, ...walls } = smallest(['/bin/true']);
  const trial = await supervise({ ...walls, command, gated: true, tasks: MAX_TASKS });
  trial.supervisor.stdin.end();
  trial.supervisor.stdout.resume();
  trial.supervisor.stderr.resume();
  await trial.exited;
  return NAMES[trial.taskLimit()];
}
