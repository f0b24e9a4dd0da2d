import { exitFailure, failure, raisedAndHung } from '../../src/runner/failure';

const crash = { code: 1, signal: null, began: true, outOfMemory: false, hitOwnLimit: false };
const killed = { ...crash, code: null, signal: 'SIGKILL' };
const traceback = (error: string): string =>
  `Traceback (most recent call last):\n  File "/lab/train.py", line 3, in <module>\n    x @ y\n    ~~^~~\n${error}\n`;
const noise = 'nanobind: leaked 64 types!\n - leaked type "ir.location"\nSee https://example.org\n';

describe('why a candidate failed', () => {
  it.each([
    ['the exception', traceback('ValueError: a wrong shape'), 'error', 'ValueError: a wrong shape'],
    [
      'though libraries print on',
      traceback('ValueError: a wrong shape') + noise,
      'error',
      'ValueError: a wrong shape',
    ],
    ['in one line', traceback('RuntimeError: first\nsecond'), 'error', 'RuntimeError: first'],
    ['of the last one', traceback('KeyError: 1') + traceback('OSError: 2'), 'error', 'OSError: 2'],
    ['without a message', traceback('AssertionError'), 'error', 'AssertionError'],
    ['cut off', 'Traceback (most recent call last):\n  File', 'error', 'File'],
    ['no traceback', 'step 1\nout of patience\n', 'error', 'out of patience'],
    ['nothing', '', 'error', 'exit code 1, and it printed nothing'],
    [
      'memory',
      traceback('torch.OutOfMemoryError: CUDA out of memory.'),
      'oom',
      'torch.OutOfMemoryError: CUDA out of memory.',
    ],
    ['memory, caught earlier', traceback('MemoryError') + traceback('KeyError: 1'), 'error', 'KeyError: 1'],
    ...[
      'MemoryError',
      'numpy._core._exceptions._ArrayMemoryError: Unable to allocate 8.00 EiB',
      'torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB',
      'torch.AcceleratorError: CUDA error: out of memory',
      'RuntimeError: CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`',
      "RuntimeError: [enforce fail at alloc_cpu.cpp:118] err == 0. DefaultCPUAllocator: can't allocate memory: you tried",
      'torch._inductor.exc.InductorError: OutOfMemoryError: CUDA out of memory.',
    ].map((error): [string, string, string, string] => [error, traceback(error), 'oom', error]),
    ...['ValueError: MemoryError', 'KeyError: "CUDA out of memory"', 'NotMemoryErrorAtAll: 1'].map(
      (error): [string, string, string, string] => [error, traceback(error), 'error', error],
    ),
    ['memory, in words alone', 'CUDA out of memory\n', 'error', 'CUDA out of memory'],
    [
      'a traceback that a library has logged',
      `${traceback('ValueError: a')}W1130 12:00 Traceback (most recent call last):\nW1130 12:00 MemoryError\n`,
      'error',
      'ValueError: a',
    ],
  ])('%s', (_what, log, reason, message) => {
    expect(exitFailure(crash, log)).toEqual({ reason, message });
  });

  it.each([
    [{ ...killed, outOfMemory: true }, 'oom'],
    [killed, 'lost'],
    [{ ...killed, hitOwnLimit: true }, 'error'],
    [{ ...killed, signal: 'SIGSEGV', outOfMemory: true }, 'error'],
    [{ ...crash, code: 137, outOfMemory: true }, 'oom'],
    [{ ...crash, code: 137 }, 'error'],
    [{ ...crash, code: 0 }, 'rejected'],
  ])('by its exit: %j', (exit, reason) => {
    expect(exitFailure(exit, 'bwrap: no').reason).toBe(reason);
  });

  it('and by the traceback that the output of a hanging process ends with', () => {
    expect(raisedAndHung(`step 1\n${traceback('ValueError: a')}`)).toBe('ValueError: a');
    expect(raisedAndHung(traceback('ValueError: a') + noise)).toBe('ValueError: a');
    expect(raisedAndHung(traceback('ValueError: a') + 'step 1\n'.repeat(1_000))).toBeNull();
    expect(raisedAndHung('step 1\n')).toBeNull();
    expect(raisedAndHung('')).toBeNull();
  });

  it('and is not blamed where it has not begun', () => {
    expect(() => exitFailure({ ...crash, began: false }, 'bwrap: no')).toThrow(
      'the sandbox could not be set up: bwrap: no',
    );
  });

  it('is one line of 200 characters and a tail of 4,000 that shows the traceback', () => {
    const { message, tail } = failure(
      'error',
      'a\n'.repeat(300),
      traceback('KeyError: 1') + noise.repeat(200),
    );
    expect(message).toHaveLength(200);
    expect(message).not.toContain('\n');
    expect(tail).toMatch(/^Traceback/);
    expect(tail).toContain('KeyError: 1');
    expect(
      failure('error', '', 'x'.repeat(9_000) + traceback('KeyError: 1')).tail.length,
    ).toBeLessThanOrEqual(4_000);
    expect(failure('timeout', '', 'x'.repeat(9_000)).tail).toHaveLength(4_000);
  });
});
