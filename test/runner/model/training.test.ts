import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TrainSpec } from '../../../src/runner/task';
import { ROW, Workshop } from '../workshop';

jest.setTimeout(180_000);

let workshop: Workshop;
beforeAll(() => {
  workshop = new Workshop();
});
afterAll(() => workshop.close());

const train = (candidate: string, change: Partial<TrainSpec> = {}) =>
  workshop.run(workshop.trainSpec([candidate], change));

function rows(log: string): number[] {
  return JSON.parse(/^rows (.*)$/m.exec(log)![1]!);
}

describe('a training', () => {
  it('ends with the submission, by a budget of seconds', async () => {
    const { status, folder, log } = await train('happy', { budget: { seconds: 0.5 } });
    expect(status).toMatchObject({ phase: 'done', failure: null, sandbox: 'bubblewrap', parameters: 7000 });
    // However few it gets to on a busy machine, it has had no others.
    expect(rows(log).length).toBeLessThanOrEqual(status.step * 4);
    expect(status.tokens).toBe(status.step * 4 * (ROW - 1));
    expect(status.trainSeconds).toBeGreaterThanOrEqual(0.4);
    expect(status.wallSeconds).toBeGreaterThan(status.startupSeconds + status.trainSeconds - 0.1);
    expect(status).toMatchObject({
      dataWaitSeconds: 0.25,
      peakMemoryMb: 12.5,
      initialWeights: '0'.repeat(64),
    });
    expect(status.weights).toMatch(/^[0-9a-f]{64}$/);
    expect(readFileSync(join(folder, 'submission', 'graph.json'), 'utf8')).toBe('{"nodes":[]}');
    expect(readFileSync(join(folder, 'submission', 'weights.safetensors'), 'utf8')).toBe(
      'weights'.repeat(1000),
    );
    expect(log).toContain('goodbye');
  });

  it('hands out exactly a budget of steps, in the order of the seed', async () => {
    const budget = { steps: 25 };
    const [one, again, other] = [
      await train('happy', { budget }),
      await train('happy', { budget }),
      await train('happy', { budget, seed: 43 }),
    ];
    expect(one.status).toMatchObject({
      phase: 'done',
      failure: null,
      step: 25,
      deadline: null,
      lastLoss: 1 / 25,
    });
    expect(rows(one.log)).toHaveLength(100);
    expect(new Set(rows(one.log)).size).toBe(100);
    expect(rows(again.log)).toEqual(rows(one.log));
    expect(rows(other.log)).not.toEqual(rows(one.log));
  });
});

describe('a candidate that fails', () => {
  it.each([
    ['crash', {}, 'error', /^ValueError: a wrong$/],
    ['memory', {}, 'oom', /MemoryError/],
    ['cuda_memory', {}, 'oom', /CUDA out of memory/],
    ['illegal', {}, 'error', /SIGILL/],
    ['nan', {}, 'diverged', /NaN at step 1/],
    ['nothing', {}, 'rejected', /without submitting/],
    ['no_result', {}, 'rejected', /closed the connection without a submission, and exited with code 0/],
    ['silent', { startupSeconds: 0.5 }, 'timeout', /start-up cap/],
    ['never_asks', { stallSeconds: 0.5, budget: { seconds: 30 } }, 'timeout', /stall cap/],
    ['stall', { stallSeconds: 0.5, budget: { steps: 30 } }, 'timeout', /stall cap/],
    ['never_submits', { submissionSeconds: 0.5 }, 'timeout', /submission cap/],
    ['never_reads', { submissionSeconds: 0.5, budget: { seconds: 0.5 } }, 'timeout', /submission cap/],
    ['other_protocol', {}, 'rejected', /speaks protocol 2, this runner 1/],
    ['garbage', {}, 'rejected', /header has \d+ bytes/],
    ['half_frame', {}, 'timeout', /middle of a frame, and did not exit within 20 s/],
    ['closes', {}, 'timeout', /closed the connection without a submission, and did not exit within 20 s/],
    ['out_of_turn', {}, 'rejected', /"batches" is not allowed now/],
    ['unknown_message', {}, 'rejected', /invalid message/],
    ['greedy', { budget: { steps: 1000 } }, 'rejected', /requested ahead/],
    ['big_graph', {}, 'rejected', /graph has 1099511627776 bytes/],
    ['big_weights', {}, 'rejected', /submission has 1099511627776 bytes/],
    ['lying_report', {}, 'rejected', /only 0 batches/],
    ['fills_scratch', {}, 'error', /No space left/],
  ] as const)('%s: %s', async (candidate, change: Partial<TrainSpec>, reason, message) => {
    const { status, folder } = await train(candidate, change);
    expect(status.phase).toBe('done');
    expect(status.failure).toMatchObject({ reason, message: expect.stringMatching(message) });
    expect(existsSync(join(folder, 'submission', 'weights.safetensors'))).toBe(false);
  });

  it.each([
    ['raises_at_once', {}, 'error', /^ValueError: before it said anything$/],
    ['raises_before_start', {}, 'error', /^ValueError: before start$/],
    ['raises_in_training', {}, 'error', /^ValueError: in training$/],
    ['raises_in_submission', {}, 'error', /^ValueError: in submission$/],
    ['exits_slowly', {}, 'error', /^no use$/],
    ['closes_and_exits_slowly', {}, 'rejected', /closed the connection .* exited with code 0/],
    ['hangs_after_raising', { stallSeconds: 1 }, 'error', /^ValueError: and a thread .*hung: stall cap/],
    ['hangs_closed', {}, 'error', /^ValueError: closed, and a thread goes on .*hung: closed the connection/],
    ['raises_in_thread', { stallSeconds: 1 }, 'error', /^ValueError: in a thread .*hung: stall cap/],
    ['caught_and_stalls', { stallSeconds: 1 }, 'timeout', /^stall cap/],
  ] as const)('%s: is not blamed for its slow end: %s', async (candidate, change, reason, message) => {
    const { status } = await train(candidate, change);
    expect(status.failure).toMatchObject({ reason, message: expect.stringMatching(message) });
  });

  it.each([
    ['exits_137', /exit code 137/],
    ['aborts', /SIGABRT|SIGSEGV|SIGILL/],
    ['segfaults', /SIGSEGV/],
    ['limits_cpu', /limit on CPU seconds that it set itself/],
    ['limits_cpu_used_up', /limit on CPU seconds that it set itself/],
    ['limits_file_size', /^OSError: .*File too large/],
    ['alarmed', /exit code 14/],
    ['kills_child', /exit code 247/],
    ['killed', /^RuntimeError: still here$/],
  ] as const)('%s: is to blame for its own end', async (candidate, message) => {
    const { status } = await train(candidate);
    expect(status.phase).toBe('done');
    expect(status.failure).toMatchObject({ reason: 'error', message: expect.stringMatching(message) });
  });

  it.each([
    ['limits_cpu', 'error', /limit on CPU seconds that it set itself/],
    ['kills_itself', 'lost', /SIGKILL/],
    ['exits_137', 'error', /exit code 137/],
  ] as const)('%s, without a sandbox: %s', async (candidate, reason, message) => {
    const spec = workshop.trainSpec([candidate]);
    const { status } = await workshop.run(spec, { env: { AUTORESEARCH_SANDBOX: 'none' } });
    expect(status.failure).toMatchObject({ reason, message: expect.stringMatching(message) });
  });

  it.each([
    ['says_memory', 'rejected', /without/],
    ['says_memory_and_raises', 'error', /^ValueError: not memory/],
    ['says_memory_with_another_code', 'error', /^MemoryError$/],
  ] as const)('%s: is not believed', async (candidate, reason, message) => {
    const { status } = await train(candidate);
    expect(status.failure).toMatchObject({ reason, message: expect.stringMatching(message) });
  });

  it('is ended when a budget of steps takes too long, though it never stalls', async () => {
    const { status } = await train('slow_steps', { budget: { steps: 100_000 }, trainSeconds: 2 });
    expect(status.failure).toMatchObject({
      reason: 'timeout',
      message: expect.stringMatching(/^train cap: \d+ of 100000 steps in 2 s \(caps.train_seconds\)$/),
    });
    expect(status.step).toBeGreaterThan(0);
  });

  it.each([{ peakMemoryMb: 1e304 }, { dataWaitSeconds: 1e30 }, { loss: 1e39 }, { loss: -1e300 }])(
    'is rejected when it reports %j',
    async (report) => {
      const { status } = await workshop.run(workshop.trainSpec(['insane', JSON.stringify(report)]));
      expect(status.failure).toMatchObject({
        reason: 'rejected',
        message: expect.stringContaining('invalid message'),
      });
      expect(status).toMatchObject({ peakMemoryMb: 0, lastLoss: null, dataWaitSeconds: 0 });
    },
  );

  it('leaves its traceback, and a bounded log with both ends', async () => {
    const { status, log } = await train('chatty');
    expect(status.failure).toMatchObject({ reason: 'error', message: 'RuntimeError: the end' });
    expect(status.failure!.tail).toContain('Traceback (most recent call last)');
    expect(status.failure!.tail.length).toBeLessThanOrEqual(4000);
    expect(log.length).toBeLessThanOrEqual(100_000);
    expect(log).toMatch(/^line 0\nline 1\n/);
    expect(log).toContain('bytes left out');
    expect(log).toContain('line 199999\n');
  });
});
