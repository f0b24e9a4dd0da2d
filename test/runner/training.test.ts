import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TrainSpec } from '../../src/runner/task';
import { ROW, Workshop } from './workshop';

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
  it('ends with the hand-in, by a budget of seconds', async () => {
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
    expect(readFileSync(join(folder, 'handin', 'graph.json'), 'utf8')).toBe('{"nodes":[]}');
    expect(readFileSync(join(folder, 'handin', 'weights.safetensors'), 'utf8')).toBe('weights'.repeat(1000));
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
    ['nothing', {}, 'rejected', /without handing in/],
    ['no_result', {}, 'rejected', /without handing in/],
    ['silent', { startupSeconds: 0.5 }, 'timeout', /start-up cap/],
    ['never_asks', { stallSeconds: 0.5, budget: { seconds: 30 } }, 'timeout', /stall cap/],
    ['stall', { stallSeconds: 0.5, budget: { steps: 30 } }, 'timeout', /stall cap/],
    ['never_hands_in', { handinSeconds: 0.5 }, 'timeout', /hand-in cap/],
    ['never_reads', { handinSeconds: 0.5, budget: { seconds: 0.5 } }, 'timeout', /hand-in cap/],
    ['other_protocol', {}, 'rejected', /speaks protocol 2, this runner 1/],
    ['garbage', {}, 'rejected', /header has \d+ bytes/],
    ['half_frame', {}, 'rejected', /middle of a frame/],
    ['closes', {}, 'rejected', /closed the connection/],
    ['out_of_turn', {}, 'rejected', /"batches" out of turn/],
    ['unknown_message', {}, 'rejected', /not understood/],
    ['greedy', { budget: { steps: 1000 } }, 'rejected', /asked for ahead/],
    ['big_graph', {}, 'rejected', /graph has 1099511627776 bytes/],
    ['big_weights', {}, 'rejected', /hand-in has 1099511627776 bytes/],
    ['lying_report', {}, 'rejected', /only 0 batches/],
    ['fills_scratch', {}, 'error', /No space left/],
  ] as const)('%s: %s', async (candidate, change: Partial<TrainSpec>, reason, message) => {
    const { status, folder } = await train(candidate, change);
    expect(status.phase).toBe('done');
    expect(status.failure).toMatchObject({ reason, message: expect.stringMatching(message) });
    expect(existsSync(join(folder, 'handin', 'weights.safetensors'))).toBe(false);
  });

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
