/**
 * Several researchers in one study, such as `claude+tpe`: a bandit picks one for each experiment. At equal budget an optimiser
 * is better at hyperparameters, a language model at everything else, and both together beat either (arXiv 2603.24647).
 */
import { ApplicationFailure } from '@temporalio/common';
import { askingOrder, type Arm } from '../domain/bandit';
import { MAX_HYPOTHESIS, type Proposal } from '../ledger/proposals';
import { BudgetExhausted } from './spend-guard';
import { GivenUp, NoProposal, type Researcher, type ResearchContext } from './researcher';

export interface HybridArm extends Arm {
  researcher: Researcher;
}

/** How long to wait for an arm while the device is idle: most rate limits and overloads end sooner. */
const PATIENCE_MS = 2 * 60_000;
/** Characters of the reason, in the record, why another arm was asked. */
const WHY_LENGTH = 300;

/**
 * When an arm has nothing to propose, has no money left or asks for a long wait, the next arm is asked for the same
 * experiment. So a study whose dollars are spent, or whose API is down for hours, continues with the arm that needs neither.
 * Only the arm that caused a crash repairs it.
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
          return { ...withReasons(proposal, reasons), researcher: name };
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
      // More money, or an API that answers, would bring a proposal: the study waits for that.
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

/** True for a temporary failure whose wait, past and still asked for, exceeds `patienceMs`. */
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

/** Adds to the hypothesis, for the record, why the other arms did not propose. */
function withReasons(proposal: Proposal, reasons: readonly string[]): Proposal {
  if (reasons.length === 0) return proposal;
  const why = ` (Instead of ${reasons.join('; ').slice(0, WHY_LENGTH)})`;
  const hypothesis = `${proposal.hypothesis.slice(0, MAX_HYPOTHESIS - why.length)}${why}`.trim();
  return { ...proposal, hypothesis };
}
