/** Why a candidate has no result, from how its process ended and what it printed last. */
import type { RunFailure } from './task';
import type { ContainedExit } from './contained';

const MESSAGE_CHARACTERS = 200;
const TAIL_CHARACTERS = 4_000;
/** Of the tail, what may follow a traceback: the rest of its message, and what libraries print as they go. */
const AFTER_TRACEBACK = 1_000;

const TRACEBACK = 'Traceback (most recent call last)';
/** torch on a GPU, cuBLAS, torch on the CPU, Python, C++. */
const OUT_OF_MEMORY =
  /OutOfMemoryError|CUDA out of memory|CUBLAS_STATUS_ALLOC_FAILED|can't allocate memory|not enough memory|\bMemoryError\b|std::bad_alloc/;

/** @param log the output's end */
export function failure(reason: RunFailure['reason'], message: string, log: string): RunFailure {
  const line = message.replaceAll(/\s+/g, ' ').trim();
  return {
    reason,
    message: line.length > MESSAGE_CHARACTERS ? `${line.slice(0, MESSAGE_CHARACTERS - 1)}…` : line,
    tail: reason === 'timeout' || reason === 'diverged' ? log.slice(-TAIL_CHARACTERS) : excerpt(log),
  };
}

/** The sandbox could not be set up: the command has not begun, and the trouble is the host's. */
class SandboxError extends Error {
  override name = 'SandboxError';
}

/**
 * Why a process that ended by itself has not handed in.
 * @throws SandboxError if it has not begun
 */
export function exitFailure(
  { code, signal, began, outOfMemory }: ContainedExit,
  log: string,
): Pick<RunFailure, 'reason' | 'message'> {
  const said = lastWords(log);
  if (!began && signal === null) throw new SandboxError(`the sandbox could not be set up: ${said}`);
  if (signal === 'SIGKILL') {
    return outOfMemory
      ? { reason: 'oom', message: 'killed by the kernel: out of memory' }
      : { reason: 'lost', message: 'killed by SIGKILL from outside the run' };
  }
  if (signal !== null) {
    const meaning = signal === 'SIGILL' ? ' (illegal instruction)' : '';
    return { reason: 'error', message: `ended by ${signal}${meaning}` };
  }
  if (code === 0) return { reason: 'rejected', message: 'exited without handing in a model' };
  // What it printed before its last traceback does not count.
  const saysSo = OUT_OF_MEMORY.test(log.slice(Math.max(0, log.lastIndexOf(TRACEBACK))));
  return {
    reason: saysSo ? 'oom' : 'error',
    message: said || `exit code ${code}, and it printed nothing`,
  };
}

/** The exception of the last traceback, or else the last line: libraries go on printing after a traceback. */
function lastWords(log: string): string {
  const { start, end } = lastTraceback(log);
  if (start === end) return log.trimEnd().split('\n').at(-1)?.trim() ?? '';
  return log.slice(log.lastIndexOf('\n', end - 1) + 1, end).trim();
}

/** The end of a log, with its last traceback in view. */
function excerpt(log: string): string {
  const { start, end } = lastTraceback(log);
  if (start === end) return log.slice(-TAIL_CHARACTERS);
  return log.slice(start, end + AFTER_TRACEBACK).slice(-TAIL_CHARACTERS);
}

/** Where the last traceback is, up to the end of the line that names the exception; `start === end` without one. */
function lastTraceback(log: string): { start: number; end: number } {
  const start = log.lastIndexOf(TRACEBACK);
  if (start < 0) return { start: 0, end: 0 };
  const exception = /\n\S.*/.exec(log.slice(start));
  return { start, end: exception === null ? log.length : start + exception.index + exception[0].length };
}
