import type { ExperimentRecord } from '../../src/domain/experiment';
import type { Proposal } from '../../src/lab/edits';
import { createHybrid } from '../../src/researchers/hybrid';
import { BudgetExhausted } from '../../src/researchers/purse';
import { NoProposal, type Repairing, type Researcher } from '../../src/researchers/researcher';
import { contextOf, TRAIN } from './context';

const never = new AbortController().signal;
const proposal = (title: string): Proposal => ({ format: 1, title, hypothesis: '', edits: [] });

/** Answers with its own name, or fails with this error each time. */
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

test('the arm is named in the proposal, and the other is not asked', async () => {
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

test('when both have nothing it says why of both; for want of money the study waits for money', async () => {
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

test('other trouble is not hidden by the other arm', async () => {
  const tpe = arm('tpe');
  const hybrid = createHybrid([arm('claude', new TypeError('a bug')), tpe]);
  await expect(hybrid.propose(await first(), never)).rejects.toThrow('a bug');
  expect(tpe.asked).toEqual([]);
});

test('a crash goes back to the arm that caused it', async () => {
  const [claude, tpe] = [arm('claude'), arm('tpe')];
  const repair = { researcher: 'tpe', attempt: 1 } as Repairing;
  const answer = await createHybrid([claude, tpe]).propose({ ...(await first()), repair }, never);
  expect(answer.researcher).toBe('tpe');
  expect(claude.asked).toEqual([]);
});
