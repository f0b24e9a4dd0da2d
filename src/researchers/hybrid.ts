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
      const reasons: string[] = [];
      let noMoney: BudgetExhausted | null = null;
      for (const { name, researcher } of orderOf(arms, context)) {
        try {
          return { ...(await researcher.propose(context, signal)), researcher: name };
        } catch (error) {
          if (signal.aborted) throw error;
          if (error instanceof BudgetExhausted) noMoney = error;
          else if (!(error instanceof NoProposal)) throw error;
          reasons.push(`${name}: ${error.message}`);
        }
      }
      // With more money there would be a proposal, so that is what the study waits for.
      throw noMoney ?? new NoProposal(reasons.join('; '));
    },
  };
}

function orderOf(arms: readonly HybridArm[], context: ResearchContext): readonly HybridArm[] {
  const { history, lab, repair } = context;
  if (repair !== null) return arms.filter(({ name }) => name === repair.researcher);
  return askingOrder(arms, history, lab.metric.direction, context);
}
