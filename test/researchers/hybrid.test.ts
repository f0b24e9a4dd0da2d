import { ApplicationFailure } from '@temporalio/common';
import type { ExperimentRecord } from '../../src/domain/experiment';
import type { Proposal } from '../../src/ledger/proposals';
import { createHybrid } from '../../src/researchers/hybrid';
import { BudgetExhausted } from '../../src/researchers/spend-guard';
import {
  GivenUp,
  NoProposal,
  type Repairing,
  type ResearchContext,
  type Researcher,
} from '../../src/researchers/researcher';
import { contextOf, TRAIN } from './context';

const never = new AbortController().signal;
const proposal = (title: string): Proposal => ({ format: 1, title, hypothesis: '', edits: [] });

/** An arm that proposes its own name, or always fails with this error. */
function arm(name: string, error: Error | null = null) {
  const asked: number[] = [];
  const researcher: Researcher = {
    propose: ({ number }) => {
      asked.push(number);
      return error === null ? Promise.resolve(proposal(name)) : Promise.reject(error);
    },
  };
  return { name, costsDollars: name !== 'tpe', researcher, asked };
}

const first = () => contextOf([{ text: TRAIN, score: 1 }]);

test('the proposal names its arm, and the other arm is not asked', async () => {
  const [claude, tpe] = [arm('claude'), arm('tpe')];
  expect(await createHybrid([claude, tpe]).propose(await first(), never)).toMatchObject({
    title: 'claude',
    researcher: 'claude',
  });
  expect(tpe.asked).toEqual([]);
  const context = await first();
  const history = [...context.history, { number: 1, researcher: 'claude' } as ExperimentRecord];
  expect(await createHybrid([claude, tpe]).propose({ ...context, history, number: 2 }, never)).toMatchObject({
    researcher: 'tpe',
  });
});

test.each([new NoProposal('no idea'), new BudgetExhausted('no money')])(
  'after %s the other arm is asked for the same experiment',
  async (error) => {
    const [claude, tpe] = [arm('claude', error), arm('tpe')];
    const answer = await createHybrid([claude, tpe]).propose(await first(), never);
    expect(answer.researcher).toBe('tpe');
    expect([claude.asked, tpe.asked]).toEqual([[1], [1]]);
  },
);

test('when no arm proposes, the error has both reasons; a lack of money makes the study wait', async () => {
  const none = createHybrid([
    arm('claude', new NoProposal('no idea')),
    arm('tpe', new NoProposal('no knob')),
  ]);
  await expect(none.propose(await first(), never)).rejects.toThrow('claude: no idea; tpe: no knob');
  const poor = createHybrid([
    arm('claude', new BudgetExhausted('no money')),
    arm('tpe', new NoProposal('no knob')),
  ]);
  await expect(poor.propose(await first(), never)).rejects.toThrow(BudgetExhausted);
});

test('other errors are not hidden by the other arm', async () => {
  const tpe = arm('tpe');
  const hybrid = createHybrid([arm('claude', new TypeError('a bug')), tpe]);
  await expect(hybrid.propose(await first(), never)).rejects.toThrow('a bug');
  expect(tpe.asked).toEqual([]);
});

test('the arm that caused a crash repairs it', async () => {
  const [claude, tpe] = [arm('claude'), arm('tpe')];
  const repair = { researcher: 'tpe', attempt: 1 } as Repairing;
  const answer = await createHybrid([claude, tpe]).propose({ ...(await first()), repair }, never);
  expect(answer.researcher).toBe('tpe');
  expect(claude.asked).toEqual([]);
});

const busy = (nextRetryDelay?: number) =>
  ApplicationFailure.create({
    type: 'ModelBusy',
    message: 'the API asks to wait: 529',
    ...(nextRetryDelay === undefined ? {} : { nextRetryDelay }),
  });
const minutesAgo = (minutes: number) => Date.now() - minutes * 60_000;

describe('an arm that asks to wait', () => {
  test.each([
    ['for a moment', busy(), 0],
    ['for as long as the API says', busy(60_000), 0.5],
  ])('is retried %s', async (_, error, minutes) => {
    const [claude, tpe] = [arm('claude', error), arm('tpe')];
    const context = { ...(await first()), since: minutesAgo(minutes) };
    await expect(createHybrid([claude, tpe]).propose(context, never)).rejects.toBe(error);
    expect(tpe.asked).toEqual([]);
  });

  test.each([
    ['for minutes', busy(), 3],
    ['for as long as the API would have it', busy(15 * 60_000), 0],
  ])('is not retried %s: the other arm proposes, and its record says why', async (_, error, minutes) => {
    const [claude, tpe] = [arm('claude', error), arm('tpe')];
    const context = { ...(await first()), since: minutesAgo(minutes) };
    const answer = await createHybrid([claude, tpe]).propose(context, never);
    expect(answer).toMatchObject({ researcher: 'tpe', title: 'tpe' });
    expect(answer.hypothesis).toContain('Instead of claude: the API asks to wait: 529');
  });

  test('is retried when the other arm has nothing to propose', async () => {
    const error = busy();
    const hybrid = createHybrid([arm('claude', error), arm('tpe', new NoProposal('no knob'))]);
    await expect(hybrid.propose({ ...(await first()), since: minutesAgo(60) }, never)).rejects.toBe(error);
  });

  test('gives up its repair, so that the study does not wait for it', async () => {
    const hybrid = createHybrid([arm('claude', busy()), arm('tpe')]);
    const repair = { researcher: 'claude', attempt: 1 } as Repairing;
    const context = { ...(await first()), repair, since: minutesAgo(60) };
    await expect(hybrid.propose(context, never)).rejects.toThrow(GivenUp);
    await expect(hybrid.propose({ ...context, since: minutesAgo(0) }, never)).rejects.toThrow('529');
  });

  test('is not hidden by the other arm when only a person can help', async () => {
    const key = ApplicationFailure.nonRetryable('the API rejects the key', 'ModelKey');
    const hybrid = createHybrid([arm('claude', key), arm('tpe')]);
    await expect(hybrid.propose({ ...(await first()), since: minutesAgo(60) }, never)).rejects.toBe(key);
  });
});

test("each arm knows the other arms' names", async () => {
  const told: (readonly string[])[] = [];
  const claude = {
    ...arm('claude'),
    researcher: {
      propose: ({ others }: ResearchContext) => {
        told.push(others);
        return Promise.resolve(proposal('claude'));
      },
    },
  };
  await createHybrid([claude, arm('tpe')]).propose(await first(), never);
  expect(told).toEqual([['tpe']]);
});
