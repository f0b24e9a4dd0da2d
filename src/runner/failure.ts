/** Derives why a candidate has no result from its process's exit and the end of its output. */
import { lastLine } from '../process/excerpt';
import type { RunFailure } from './task';
import type { ContainedExit } from './contained';

/** A candidate in a sandbox cannot cause this itself. */
export const KILLED_OUTSIDE = 'killed by SIGKILL from outside the run';

const MESSAGE_CHARACTERS = 200;
const TAIL_CHARACTERS = 4_000;
/** Part of the tail that may follow a traceback: the rest of its message, and libraries' output at exit. */
const AFTER_TRACEBACK = 1_000;

/** Only at the start of a line: libraries log tracebacks that they have handled behind a prefix. */
const TRACEBACK = /^Traceback \(most recent call last\)/gm;
/** Exception types of Python, NumPy and torch; torch's compiler wraps them. */
const MEMORY_TYPE = /^(?:[\w.]*InductorError: )?(?:\w+\.)*(?:OutOfMemoryError|_?(?:Array)?MemoryError)\b/;
/** cuBLAS and torch on the CPU raise a RuntimeError. */
const MEMORY_WORDS =
  /^(?:\w+\.)*(?:RuntimeError|AcceleratorError): .*(?:out of memory|CUBLAS_STATUS_ALLOC_FAILED|can't allocate memory|not enough memory)/;
/** Python's exit code after an uncaught exception. */
const UNCAUGHT = 1;
/** A shell's exit code after its command was killed. */
const KILLED_IN_SHELL = 137;

/** @param log the end of the output */
export function failure(reason: RunFailure['reason'], message: string, log: string): RunFailure {
  const line = message.replaceAll(/\s+/g, ' ').trim();
  return {
    reason,
    message: line.length > MESSAGE_CHARACTERS ? `${line.slice(0, MESSAGE_CHARACTERS - 1)}…` : line,
    tail: reason === 'timeout' || reason === 'diverged' ? log.slice(-TAIL_CHARACTERS) : excerpt(log),
  };
}

/** The sandbox could not be set up, so the command has not begun: a host error. */
class SandboxError extends Error {
  override name = 'SandboxError';
}

/**
 * Explains why a process exited without a submission.
 * @throws SandboxError if the command has not begun
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
  // In a sandbox nothing inside can kill the first process. Without one, runs/watch.ts looks for repetition.
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
 * The exception that a hanging process has raised: its output ends with the traceback. Null without one.
 * @param log the output since its last progress
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

/** The last traceback's line that names the exception. */
function exceptionOf(log: string): string | null {
  const { start, end } = lastTraceback(log);
  return start === end ? null : log.slice(log.lastIndexOf('\n', end - 1) + 1, end).trim();
}

/** The end of a log, including its last traceback. */
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
