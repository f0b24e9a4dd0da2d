/** Why a candidate has no result, from how its process ended and what it printed last. */
import { lastLine } from '../process/excerpt';
import type { RunFailure } from './task';
import type { ContainedExit } from './contained';

/** A death that no candidate in a sandbox can bring about. */
export const KILLED_OUTSIDE = 'killed by SIGKILL from outside the run';

const MESSAGE_CHARACTERS = 200;
const TAIL_CHARACTERS = 4_000;
/** Of the tail, what may follow a traceback: the rest of its message, and what libraries print as they go. */
const AFTER_TRACEBACK = 1_000;

/** Only at the start of a line: libraries log tracebacks that they have handled behind a prefix. */
const TRACEBACK = /^Traceback \(most recent call last\)/gm;
/** By the exception's type, as Python, NumPy and torch name it; torch's compiler wraps it. */
const MEMORY_TYPE = /^(?:[\w.]*InductorError: )?(?:\w+\.)*(?:OutOfMemoryError|_?(?:Array)?MemoryError)\b/;
/** cuBLAS and torch on the CPU have no type of their own: a RuntimeError says so. */
const MEMORY_WORDS =
  /^(?:\w+\.)*(?:RuntimeError|AcceleratorError): .*(?:out of memory|CUBLAS_STATUS_ALLOC_FAILED|can't allocate memory|not enough memory)/;
/** The exit code of an exception that nobody caught. */
const UNCAUGHT = 1;
/** What a shell exits with after its command was killed. */
const KILLED_IN_SHELL = 137;

/** @param log the output's end */
export function failure(reason: RunFailure['reason'], message: string, log: string): RunFailure {
  const line = message.replaceAll(/\s+/g, ' ').trim();
  return {
    reason,
    message: line.length > MESSAGE_CHARACTERS ? `${line.slice(0, MESSAGE_CHARACTERS - 1)}…` : line,
    tail: reason === 'timeout' || reason === 'diverged' ? log.slice(-TAIL_CHARACTERS) : excerpt(log),
  };
}

/** The sandbox could not be set up: the command has not begun, and the error is the host's. */
class SandboxError extends Error {
  override name = 'SandboxError';
}

/**
 * Why a process that ended by itself has left no submission.
 * @throws SandboxError if it has not begun
 */
export function exitFailure(
  { code, signal, began, outOfMemory, hitOwnLimit }: ContainedExit,
  log: string,
): Pick<RunFailure, 'reason' | 'message'> {
  const said = lastWords(log);
  if (!began && signal === null) throw new SandboxError(`the sandbox could not be set up: ${said}`);
  if (outOfMemory && (signal === 'SIGKILL' || code === KILLED_IN_SHELL))
    return { reason: 'oom', message: 'killed by the kernel: out of memory' };
  if (hitOwnLimit)
    return {
      reason: 'error',
      message: 'killed by a limit on CPU seconds that it set itself (RLIMIT_CPU): remove that limit',
    };
  // In a sandbox nothing inside can send it to the first process; without one, watch.ts looks at the repetition.
  if (signal === 'SIGKILL') return { reason: 'lost', message: KILLED_OUTSIDE };
  if (signal !== null) {
    const meaning = signal === 'SIGILL' ? ' (illegal instruction)' : '';
    return { reason: 'error', message: `ended by ${signal}${meaning}` };
  }
  if (code === 0) return { reason: 'rejected', message: 'exited without submitting a model' };
  return {
    reason: code === UNCAUGHT && isOutOfMemory(exceptionOf(log)) ? 'oom' : 'error',
    message: said || `exit code ${code}, and it printed nothing`,
  };
}

/**
 * The exception that a process which hangs has raised: its output ends with the traceback. Null where it does not.
 * @param log what it printed since it last went on
 */
export function raisedAndHung(log: string): string | null {
  const { start, end } = lastTraceback(log);
  const isLast = start < end && log.length - end <= AFTER_TRACEBACK;
  return isLast ? exceptionOf(log) : null;
}

const isOutOfMemory = (exception: string | null): boolean =>
  exception !== null && (MEMORY_TYPE.test(exception) || MEMORY_WORDS.test(exception));

/** The last traceback's exception, else the last line: libraries go on printing after a traceback. */
const lastWords = (log: string): string => exceptionOf(log) ?? lastLine(log);

/** The line of the last traceback that names the exception; what it printed before does not count. */
function exceptionOf(log: string): string | null {
  const { start, end } = lastTraceback(log);
  return start === end ? null : log.slice(log.lastIndexOf('\n', end - 1) + 1, end).trim();
}

/** The end of a log, with its last traceback in view. */
function excerpt(log: string): string {
  const { start, end } = lastTraceback(log);
  if (start === end) return log.slice(-TAIL_CHARACTERS);
  return log.slice(start, end + AFTER_TRACEBACK).slice(-TAIL_CHARACTERS);
}

/** Where the last traceback is, up to the end of the line that names the exception; `start === end` without one. */
function lastTraceback(log: string): { start: number; end: number } {
  const start = [...log.matchAll(TRACEBACK)].at(-1)?.index;
  if (start === undefined) return { start: 0, end: 0 };
  const exception = /\n\S.*/.exec(log.slice(start));
  return { start, end: exception === null ? log.length : start + exception.index + exception[0].length };
}
