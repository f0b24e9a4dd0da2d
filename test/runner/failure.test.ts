import { exitFailure, failure } from '../../src/runner/failure';

const crash = { code: 1, signal: null, began: true, outOfMemory: false };
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
  ])('%s', (_what, log, reason, message) => {
    expect(exitFailure(crash, log)).toEqual({ reason, message });
  });

  it.each([
    [{ code: null, signal: 'SIGKILL', began: true, outOfMemory: true }, 'oom'],
    [{ code: null, signal: 'SIGKILL', began: true, outOfMemory: false }, 'lost'],
    [{ code: null, signal: 'SIGSEGV', began: true, outOfMemory: true }, 'error'],
    [{ code: 0, signal: null, began: true, outOfMemory: false }, 'rejected'],
  ])('by its exit: %j', (exit, reason) => {
    expect(exitFailure(exit, 'bwrap: no').reason).toBe(reason);
  });

  it('and is not blamed where it has not begun', () => {
    expect(() =>
      exitFailure({ code: 1, signal: null, began: false, outOfMemory: false }, 'bwrap: no'),
    ).toThrow('the sandbox could not be set up: bwrap: no');
  });

  it('is told in one line of 200 characters and a tail of 4,000 that shows the traceback', () => {
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
