/**
 * Two researchers in one study, such as `claude+tpe`: a bandit says which one each experiment goes to. An optimiser is better
 * at knobs at equal budget, a language model at everything else, and both together beat either (arXiv 2603.24647).
 */
import { askingOrder, type Arm } from '../domain/bandit';
import type { Proposal } from '../lab/edits';
import { BudgetExhausted } from './purse';
import { NoProposal, type Researcher, type ResearchContext } from './researcher';

export interface HybridArm extends Arm {
  researcher: Researcher;
}

/**
 * Where one arm has nothing to propose, or no money, the other is asked for the same experiment: a study whose dollars are
 * spent goes on with the arm that costs none. A crash is repaired by the arm that caused it.
 */
export function createHybrid(arms: readonly HybridArm[]): Researcher {
  return {
    async propose(context, signal): Promise<Proposal> {
      const failures: (NoProposal | BudgetExhausted)[] = [];
      for (const { name, researcher } of orderOf(arms, context)) {
        try {
          return { ...(await researcher.propose(context, signal)), researcher: name };
        } catch (error) {
          const isOthersTurn = error instanceof NoProposal || error instanceof BudgetExhausted;
          if (!isOthersTurn || signal.aborted) throw error;
          error.message = `${name}: ${error.message}`;
          failures.push(error);
        }
      }
      // With more money there would be a proposal, so that is what the study waits for.
      throw (
        failures.find((error) => error instanceof BudgetExhausted) ??
        new NoProposal(failures.map(({ message }) => message).join('; '))
      );
    },
  };
}

function orderOf(arms: readonly HybridArm[], context: ResearchContext): readonly HybridArm[] {
  const { history, lab, repair } = context;
  if (repair !== null) return arms.filter(({ name }) => name === repair.researcher);
  return askingOrder(arms, history, lab.metric.direction, context);
}
