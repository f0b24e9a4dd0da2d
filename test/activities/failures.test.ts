/** An unknown error may be a bug: it is retried for some minutes, then the study pauses. An outage is retried while it lasts. */
import { MockActivityEnvironment } from '@temporalio/testing';
import { ApplicationFailure, CancelledFailure } from '@temporalio/common';
import { withFailures } from '../../src/activities/failures';

const environments = (activityId: string) => new MockActivityEnvironment({ activityId });

/** The failures of `times` attempts of one activity. */
async function failures(activityId: string, times: number, errorOf: (nth: number) => unknown) {
  const found: unknown[] = [];
  for (let nth = 1; nth <= times; nth++) {
    await environments(activityId)
      .run(() => withFailures(() => Promise.reject(errorOf(nth) as Error)))
      .catch((error: unknown) => found.push(error));
  }
  return found;
}

const isFinal = (failure: unknown): boolean =>
  failure instanceof ApplicationFailure && failure.nonRetryable === true;

test('an unknown error ends the retries after a number of times, with its message', async () => {
  const found = await failures('unknown', 14, () => new TypeError('x is undefined'));
  expect(found.map(isFinal)).toEqual([...Array<boolean>(13).fill(false), true]);
  expect(found.at(-1)).toMatchObject({ message: 'x is undefined (14 times in a row)' });
});

test.each([
  ['a full disk', Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' })],
  ['a full disk, as git says it', new Error('git failed: fatal: write error: No space left on device')],
  [
    'a lost network',
    new TypeError('fetch failed', { cause: Object.assign(new Error(''), { code: 'ENOTFOUND' }) }),
  ],
  ['an API that is away', ApplicationFailure.retryable('overloaded', 'ModelBusy')],
  ['a lock that another git holds', new Error("Unable to create '/lab/.git/index.lock': File exists.")],
  ['a cancellation', new CancelledFailure('cancelled')],
])('%s is retried while it lasts', async (what, error) => {
  const found = await failures(what, 40, () => error);
  expect(found.filter(isFinal)).toEqual([]);
});

test('unknown errors count in a row and by activity, and a success resets the count', async () => {
  const unknown = new Error('what is this');
  const outage = Object.assign(new Error('no network'), { code: 'ENETUNREACH' });
  expect((await failures('mixed', 40, (nth) => (nth % 10 === 0 ? outage : unknown))).some(isFinal)).toBe(
    false,
  );
  await failures('first', 13, () => unknown);
  expect((await failures('second', 13, () => unknown)).some(isFinal)).toBe(false);
  await environments('first').run(() => withFailures(() => Promise.resolve()));
  expect((await failures('first', 13, () => unknown)).some(isFinal)).toBe(false);
});

test("an error that no retry cures is not retried, and its name is the failure's type", async () => {
  const error = Object.assign(new Error('lab.yaml: no such metric'), { name: 'LabConfigError' });
  expect(await failures('lasting', 1, () => error)).toMatchObject([
    { type: 'LabConfigError', nonRetryable: true, message: 'lab.yaml: no such metric' },
  ]);
});
