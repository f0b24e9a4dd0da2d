/** Which limits of a run the kernel keeps here, found by a real trial. */
import { supervise, type TaskLimit } from '../process/supervise';
import { Cgroup, MAX_TASKS, NoCgroupError } from './cgroup';
import { smallest } from './sandbox';

export interface LimitsFound {
  /** By what the kernel bounds processes and threads; null where the runner only watches their number. */
  tasks: string | null;
  /** The same for memory. */
  memory: string | null;
  /** Why there is no cgroup; empty where there is one. */
  detail: string;
}

const NAMES: Record<TaskLimit, string | null> = {
  rlimit: 'RLIMIT_NPROC',
  namespace: 'pid_max of the PID namespace',
  nothing: null,
};

/** @throws LaunchError if there is no Python to try it with */
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
