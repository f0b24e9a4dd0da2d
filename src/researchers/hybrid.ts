/**
 * Two researchers in one study, such as `claude+tpe`: a bandit says which one each experiment goes to. An optimiser is better
 * at knobs at equal budget, a language model at everything else, and both together beat either (arXiv 2603.24647).
 */
import { ApplicationFailure } from '@temporalio/common';
import { askingOrder, type Arm } from '../domain/bandit';
import { MAX_HYPOTHESIS, type Proposal } from '../ledger/proposals';
import { BudgetExhausted } from './purse';
import { GivenUp, NoProposal, type Researcher, type ResearchContext } from './researcher';

export interface HybridArm extends Arm {
  researcher: Researcher;
}

/** For so long an arm that asks to wait is waited for, the device idle: most rate limits and overloads are over by then. */
const PATIENCE_MS = 2 * 60_000;
/** What is told of why another arm was asked. */
const WHY_LENGTH = 300;

/**
 * Where one arm has nothing to propose, no money, or asks to wait for long, the other is asked for the same experiment: a
 * study whose dollars are spent, or whose API is away for hours, goes on with the arm that needs neither. A crash is
 * repaired by the arm that caused it, or not at all.
 */
export function createHybrid(arms: readonly HybridArm[], patienceMs = PATIENCE_MS): Researcher {
  return {
    async propose(context, signal): Promise<Proposal> {
      const reasons: string[] = [];
      const nothing = new NoProposal();
      let wait: Error | null = null;
      for (const { name, researcher } of orderOf(arms, context)) {
        const others = arms.filter((arm) => arm.name !== name).map((arm) => arm.name);
        try {
          const proposal = await researcher.propose({ ...context, others }, signal);
          return { ...instead(proposal, reasons), researcher: name };
        } catch (error) {
          if (signal.aborted) throw error;
          if (isLongWait(error, context, patienceMs)) {
            if (context.repair !== null) throw new GivenUp(`${name}: ${error.message}`, { cause: error });
            wait ??= error;
          } else if (error instanceof BudgetExhausted) wait ??= error;
          else if (error instanceof NoProposal) nothing.usage ??= error.usage;
          else throw error;
          reasons.push(`${name}: ${error.message}`);
        }
      }
      // With more money, or an API that answers, there would be a proposal, so that is what the study waits for.
      nothing.message = reasons.join('; ');
      throw wait ?? nothing;
    },
  };
}

function orderOf(arms: readonly HybridArm[], context: ResearchContext): readonly HybridArm[] {
  const { history, lab, repair } = context;
  if (repair !== null) return arms.filter(({ name }) => name === repair.researcher);
  return askingOrder(arms, history, lab.metric.direction, context);
}

/** Trouble that is over by itself, and that this experiment has waited for, or would have to wait for, too long. */
function isLongWait(
  error: unknown,
  { since }: ResearchContext,
  patienceMs: number,
): error is ApplicationFailure {
  if (!(error instanceof ApplicationFailure) || error.nonRetryable === true) return false;
  const { nextRetryDelay } = error;
  const more = typeof nextRetryDelay === 'number' ? nextRetryDelay : 0;
  return Date.now() - since + more > patienceMs;
}

/** The record says in whose place it was proposed, and why. */
function instead(proposal: Proposal, reasons: readonly string[]): Proposal {
  if (reasons.length === 0) return proposal;
  const why = ` (In the place of ${reasons.join('; ').slice(0, WHY_LENGTH)})`;
  const hypothesis = `${proposal.hypothesis.slice(0, MAX_HYPOTHESIS - why.length)}${why}`.trim();
  return { ...proposal, hypothesis };
}
