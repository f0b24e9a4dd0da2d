import * as fc from 'fast-check';
import type { Verdict } from '../../src/domain/experiment';
import { UNLIMITED } from '../../src/domain/limits';
import { Life, type Ending, type Step } from './life';

const endings: fc.Arbitrary<Ending> = fc.record({
  verdict: fc.constantFrom<Verdict>('keep', 'discard', 'discard', 'crash'),
  score: fc.double({ min: 0.5, max: 3, noNaN: true }),
  gpuSeconds: fc.nat(4000),
  seconds: fc.nat(8000),
  dollars: fc.integer({ min: 0, max: 300 }).map((cents) => cents / 100),
});

const limits = fc.record({
  experiments: fc.option(fc.integer({ min: 1, max: 40 })),
  gpuHours: fc.option(fc.double({ min: 0.01, max: 20, noNaN: true })),
  hours: fc.option(fc.double({ min: 0.01, max: 40, noNaN: true })),
  dollars: fc.option(fc.double({ min: 0.01, max: 40, noNaN: true })),
});

type Plain = Exclude<
  Step['do'],
  'say' | 'propose' | 'end' | 'end unseen' | 'late' | 'drop' | 'stop' | 'adjust'
>;
const plain = (...names: Plain[]) => fc.constantFrom(...names).map((name): Step => ({ do: name }));

const proposing = fc.record({ pick: fc.option(fc.nat(5)), own: fc.nat(2) });

const steps: fc.Arbitrary<Step> = fc.oneof(
  { weight: 10, arbitrary: plain('go') },
  { weight: 10, arbitrary: endings.map((ending): Step => ({ do: 'end', ending })) },
  { weight: 1, arbitrary: endings.map((ending): Step => ({ do: 'end unseen', ending })) },
  { weight: 8, arbitrary: proposing.map((given): Step => ({ do: 'propose', proposing: given })) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('say' as const),
      kind: fc.constantFrom('hints' as const, 'ideas' as const),
      times: fc.oneof({ weight: 4, arbitrary: fc.constant(1) }, { weight: 1, arbitrary: fc.nat(30) }),
    }),
  },
  { weight: 2, arbitrary: plain('resume') },
  { weight: 3, arbitrary: plain('trouble', 'pause', 'continue as new') },
  { weight: 2, arbitrary: plain('stop and begin again', 'begin again', 'lose the server') },
  {
    weight: 3,
    arbitrary: fc
      .tuple(fc.constantFrom('late' as const, 'drop' as const), fc.nat(60))
      .map(([what, back]): Step => ({
        do: what,
        back,
      })),
  },
  {
    weight: 2,
    arbitrary: fc.subarray(['experiments', 'gpuHours', 'hours', 'dollars'] as const).chain((keys) =>
      limits.map((all): Step => ({
        do: 'adjust',
        limits: Object.fromEntries(keys.map((key) => [key, all[key]])),
      })),
    ),
  },
  { weight: 1, arbitrary: fc.boolean().map((now): Step => ({ do: 'stop', now })) },
);

const budgets = fc.oneof(
  fc.record({ seconds: fc.integer({ min: 1, max: 3600 }) }),
  fc.record({ steps: fc.integer({ min: 1, max: 1000 }) }),
);

test('whatever happens in whatever order: no gap, no double, no limit passed, no hint or idea lost or used twice', () => {
  fc.assert(
    fc.property(budgets, limits, fc.array(steps, { maxLength: 300, size: 'max' }), (budget, first, all) => {
      const life = new Life(budget, first);
      for (const step of all) {
        life.take(step);
        life.check();
      }
      expect(life.state.spent.experiments).toBe(life.seen);
    }),
    { numRuns: 500 },
  );
});

test('a study without limits that nobody stops goes on, whatever went wrong before', () => {
  fc.assert(
    fc.property(budgets, fc.array(steps, { maxLength: 200, size: 'max' }), endings, (budget, all, ending) => {
      const life = new Life(budget, UNLIMITED);
      for (const step of all) life.take(step);
      if (life.wasStopped) life.take({ do: 'begin again' });
      if (life.running !== null) life.take({ do: 'end', ending });
      life.take({ do: 'resume' });
      life.take({ do: 'adjust', limits: UNLIMITED });
      const before = life.ledger.length;
      for (let nth = 0; nth < 4; nth++) {
        life.take({ do: 'resume' });
        life.take({ do: 'go' });
        life.take({ do: 'end', ending: { ...ending, verdict: 'discard' } });
      }
      life.check();
      expect(life.ledger.length).toBeGreaterThanOrEqual(before + 3);
    }),
    { numRuns: 300 },
  );
});
