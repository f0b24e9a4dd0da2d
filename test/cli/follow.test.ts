import { eventsBetween, jsonLines, terminalScreen } from '../../src/cli/follow';
import { activity, snapshot, summary } from './snapshots';

const training = (step: number) => ({
  number: 1,
  title: 'wider',
  activity: activity('train', {
    progress: { phase: 'training', step, loss: 3.25, tokens: 0, secondsLeft: 12 },
  }),
});

const failing = (attempt: number) =>
  snapshot({
    current: {
      number: 1,
      title: 'wider',
      activity: activity('record', { attempt, lastFailure: 'no space\u001B[2J left' }),
    },
  });

describe('what is printed between two snapshots', () => {
  it('is nothing while only numbers move', () => {
    const before = snapshot({ current: training(10) });
    expect(eventsBetween(before, snapshot({ current: training(20) }))).toEqual([]);
  });

  it('is a verdict with the running best, then the experiment that follows', () => {
    const before = snapshot({ experiments: [summary(0)], current: training(90) });
    const now = snapshot({
      experiments: [summary(0), summary(1, { verdict: 'keep', reason: 'better', score: 1.9 })],
      current: { number: 2, title: null, activity: activity('propose') },
    });
    expect(eventsBetween(before, now)).toEqual([
      '#1   keep      val_bpb 1.9000 (−5.0 %)  best 1.9000 at #1',
      '#2   begins',
    ]);
  });

  it('misses no verdict when several came between two looks', () => {
    const now = snapshot({
      experiments: [summary(0), summary(1), summary(2, { verdict: 'crash', reason: 'oom', score: null })],
    });
    expect(eventsBetween(snapshot({ experiments: [summary(0)] }), now)).toEqual([
      expect.stringMatching(/^#1 {3}discard/),
      '#2   crash: oom  best 2.0000 at #0',
    ]);
  });

  it('is a step that fails, once for each attempt, with its reason and without its escapes', () => {
    expect(eventsBetween(failing(1), failing(2))).toEqual(['record, attempt 2: no space left']);
    expect(eventsBetween(failing(2), failing(2))).toEqual([]);
  });

  it('is a pause with its reason', () => {
    const paused = snapshot({ phase: 'paused', reason: 'experiments limit: 7 of 7 done' });
    expect(eventsBetween(snapshot(), paused)).toEqual(['nov21 is paused: experiments limit: 7 of 7 done']);
  });

  it('is problem around the study, once', () => {
    const alone = snapshot({ phase: 'unknown', problem: 'no worker' });
    expect(eventsBetween(snapshot(), alone)).toEqual(['nov21 is unknown', 'no worker']);
    expect(eventsBetween(alone, alone)).toEqual([]);
  });

  it('is what was there already, at the first look', () => {
    const lines = eventsBetween(null, snapshot({ experiments: [summary(0)], current: training(10) }));
    expect(lines).toEqual([
      '#0   keep      val_bpb 2.0000  best 2.0000 at #0',
      'nov21 is running',
      '#1   begins',
      '#1   wider',
    ]);
  });
});

test('the block at the bottom fits the terminal to the last character', () => {
  const written: string[] = [];
  const write = (text: unknown): boolean => written.push(String(text)) > 0;
  const block = `\u001B[1m#7\u001B[22m ${'0123456789'.repeat(20)}`;
  terminalScreen({ columns: 80, write }).show([], { step: null, line: '', block }, null);
  const begin = written[0]!.lastIndexOf('› ');
  // oxlint-disable-next-line no-control-regex -- what the terminal does not show
  const shown = written[0]!.slice(begin).replace(/\u001B\[[?\d;]*[a-z]/gu, '');
  expect(shown).toHaveLength(80);
  expect(shown).toMatch(/^› #7 0123456789/u);
});

test('with --json each changed snapshot is one line, and an unchanged one is none', () => {
  const written: string[] = [];
  const screen = jsonLines({ write: (text: unknown): boolean => written.push(String(text)) > 0 });
  const [first, second] = [snapshot(), snapshot({ phase: 'paused' })];
  for (const now of [first, snapshot(), second, null, second]) screen.show(['a line for people'], null, now);
  expect(written.every((line) => line.endsWith('\n') && line.indexOf('\n') === line.length - 1)).toBe(true);
  expect(written.map((line) => JSON.parse(line).study.phase)).toEqual(['running', 'paused', 'paused']);
});
