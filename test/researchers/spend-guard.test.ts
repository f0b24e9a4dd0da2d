import { appendFileSync, mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BudgetExhausted, MAX_LOST, SpendGuard } from '../../src/researchers/spend-guard';

const journal = () => join(mkdtempSync(join(tmpdir(), 'spend-guard-')), 'deep', 'spent.jsonl');

test('a call is reserved before it is made and settled after', async () => {
  const file = journal();
  const spendGuard = await SpendGuard.open(file, 1);
  const answer = await spendGuard.spend(0.6, async (settle) => {
    expect(spendGuard.spent()).toBe(0.6);
    expect(readFileSync(file, 'utf8')).toContain('"reserve":0.6');
    settle(0.2);
    return 'yes';
  });
  expect(answer).toBe('yes');
  expect(spendGuard.spent()).toBe(0.2);
  expect((await SpendGuard.open(file, 1)).spent()).toBe(0.2);
});

test('a call that the dollars left do not cover is not made', async () => {
  const spendGuard = await SpendGuard.open(journal(), 1);
  await spendGuard.spend(0.7, async (settle) => settle(0.7));
  const call = jest.fn();
  await expect(spendGuard.spend(0.4, call)).rejects.toThrow(
    new BudgetExhausted("the next call may cost $0.40, but only $0.30 of the study's dollars is left"),
  );
  expect(call).not.toHaveBeenCalled();
});

test('running calls count with their reservation', async () => {
  const spendGuard = await SpendGuard.open(journal(), 1);
  await spendGuard.spend(0.6, async () => {
    await expect(spendGuard.spend(0.6, () => Promise.resolve())).rejects.toThrow(BudgetExhausted);
  });
});

test("a worker's death in a call spends its reservation, also with an unfinished journal line", async () => {
  const file = journal();
  const first = await SpendGuard.open(file, 1);
  await expect(first.spend(0.5, () => Promise.reject(new Error('killed')))).rejects.toThrow('killed');
  appendFileSync(file, '{"settle":0.1,"i');
  const next = await SpendGuard.open(file, 1);
  expect(next.spent()).toBe(0.5);
  await next.spend(0.3, async (settle) => settle(0.25));
  expect((await SpendGuard.open(file, 1)).spent()).toBeCloseTo(0.75);
  // The cost of the lost call is unknown.
  expect((await SpendGuard.open(file, 1)).dearestCall()).toBe(0.25);
});

test('two attempts that write to one journal are both counted', async () => {
  const file = journal();
  const stale = await SpendGuard.open(file, null);
  const next = await SpendGuard.open(file, null);
  await next.spend(1, async (settleNext) => {
    await stale.spend(1, async (settle) => settle(0.5));
    settleNext(0.25);
  });
  expect((await SpendGuard.open(file, null)).spent()).toBe(0.75);
});

test('an unknown cost counts as the reservation, or as its known part if that is higher', async () => {
  const file = journal();
  const spendGuard = await SpendGuard.open(file, 10);
  await spendGuard.spend(0.75, async (settle) => settle(null));
  await spendGuard.spend(0.75, async (settle) => settle(null, 2));
  await spendGuard.spend(0.75, async (settle) => settle(0.5));
  const again = await SpendGuard.open(file, 10);
  expect(again.account()).toEqual({
    settled: 0.5,
    assumed: { calls: 2, dollars: 2.75, most: 2 },
    aside: null,
  });
  expect(again.spent()).toBe(3.25);
  // Assumed costs do not count as evidence.
  expect(again.dearestCall()).toBe(0.5);
});

describe('lost calls', () => {
  afterEach(() => void jest.useRealTimers());

  test('are limited per hour, also when each has its own worker; those that cost nothing are not', async () => {
    jest.useFakeTimers({ doNotFake: ['nextTick', 'setImmediate'] });
    const file = journal();
    const lose = async (atMost: number) =>
      (await SpendGuard.open(file, null)).spend(atMost, () => Promise.reject(new Error('lost')));
    for (let call = 0; call < 2 * MAX_LOST; call++) await expect(lose(0)).rejects.toThrow('lost');
    for (let call = 0; call < MAX_LOST; call++) {
      await expect(lose(1)).rejects.toThrow('lost');
      jest.setSystemTime(Date.now() + 60_000);
    }
    const wait = (60 - MAX_LOST) * 60_000;
    await expect(lose(1)).rejects.toMatchObject({
      type: 'TooManyLost',
      nonRetryable: false,
      nextRetryDelay: wait,
    });
    jest.setSystemTime(Date.now() + wait);
    await expect(lose(1)).rejects.toThrow('lost');
    await expect(lose(1)).rejects.toMatchObject({ type: 'TooManyLost' });
  });
});
