import { summarize } from '../../src/domain/experiment';
import { limitReached, NOTHING_SPENT, spend, UNLIMITED } from '../../src/domain/limits';
import { makeRecord, makeStudy } from '../labs/make-lab';

const at = (startedAt: string, finishedAt: string) =>
  summarize(makeRecord(makeStudy(process.cwd(), 'b'.repeat(40)), 1, { startedAt, finishedAt }));
/** Its one run and the scoring held the device for 7 s. */
const EARLY = '2026-11-21T10:00:00.000Z';
const LATE = '2026-11-21T10:01:00.000Z';

test('an experiment took as long as the clock says, and never less than its runs', () => {
  expect(at(EARLY, LATE)).toMatchObject({ gpuSeconds: 7, seconds: 60 });
  expect(at(EARLY, EARLY).seconds).toBe(7);
});

test('a clock that goes back does not make the limit of hours longer', () => {
  const back = at(LATE, EARLY);
  expect(back.seconds).toBe(7);
  const spent = [back, back].reduce(spend, NOTHING_SPENT);
  expect(limitReached({ ...UNLIMITED, hours: 14 / 3600 }, spent, 0, 0)).toContain('hours limit');
});
