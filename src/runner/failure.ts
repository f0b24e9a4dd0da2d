/** Why a candidate has no result, from how its process ended and what it printed last. */
import type { Failure } from '../domain/experiment';
import type { Exit } from './contained';

const MESSAGE_CHARACTERS = 200;
const TAIL_CHARACTERS = 4_000;

/** torch on a GPU, cuBLAS, torch on the CPU, Python, C++. */
const OUT_OF_MEMORY =
  /OutOfMemoryError|CUDA out of memory|CUBLAS_STATUS_ALLOC_FAILED|can't allocate memory|not enough memory|\bMemoryError\b|std::bad_alloc/;

export function failure(reason: Failure['reason'], message: string, log: string): Failure {
  const line = message.replaceAll(/\s+/g, ' ').trim();
  return {
    reason,
    message: line.length > MESSAGE_CHARACTERS ? `${line.slice(0, MESSAGE_CHARACTERS - 1)}…` : line,
    tail: log.slice(-TAIL_CHARACTERS),
  };
}

/**
 * The failure of a process that ended by itself without having handed in.
 * @param kernelKilled whether the kernel has killed somebody for lack of memory meanwhile
 */
export function exitFailure({ code, signal, setUp }: Exit, log: string, kernelKilled: boolean): Failure {
  const last = lastLine(log);
  if (!setUp) return failure('lost', `the sandbox could not be set up: ${last}`, log);
  if (signal === 'SIGKILL') {
    return kernelKilled
      ? failure('oom', 'killed by the kernel: out of memory', log)
      : failure('lost', 'killed by SIGKILL from outside the run', log);
  }
  if (signal !== null)
    return failure('error', `ended by ${signal}${signal === 'SIGILL' ? ' (illegal instruction)' : ''}`, log);
  if (code === 0) return failure('rejected', 'exited without handing in a model', log);
  if (OUT_OF_MEMORY.test(lastTraceback(log))) return failure('oom', last, log);
  return failure('error', last || `exit code ${code}, and it printed nothing`, log);
}

function lastLine(log: string): string {
  return log.trimEnd().split('\n').at(-1)?.trim() ?? '';
}

/** From the last traceback on; all of it without one. Text that a candidate printed earlier does not count. */
function lastTraceback(log: string): string {
  return log.slice(Math.max(0, log.lastIndexOf('Traceback (most recent call last)')));
}
