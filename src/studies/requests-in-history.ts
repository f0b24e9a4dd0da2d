/**
 * Reads limits and messages from the history of a workflow run that cannot answer queries: the server refuses queries to a run whose last
 * task failed. It applies the messages of the history as the workflow applied them.
 */
import type { Client } from '@temporalio/client';
import type { Payload } from '@temporalio/common';
import { z } from 'zod';
import { BadRequest, parseBudgetChange, parseHint, parseIdea } from '../domain/requests';
import { adjustLimits, hint, idea, newStudy, takeIn, type StudyState } from '../domain/study';
import type { Asked, Waiting } from '../domain/waiting';
import { decodeValues } from '../temporal/decode';
import { experimentOf } from '../temporal/executions';

const limit = z.number().nullable();
const waitingSchema = z.object({
  hints: z.array(z.string()),
  ideas: z.array(z.string()),
  droppedIdeas: z.array(z.string()),
}) satisfies z.ZodType<Waiting>;
/** Of what a study's workflow begins with: its settings, or the state of the run before. */
const askedSchema = z.object({
  limits: z.object({ experiments: limit, gpuHours: limit, hours: limit, dollars: limit }),
  waiting: waitingSchema,
}) satisfies z.ZodType<Asked>;
/** Of an experiment's answer. */
const doneSchema = z.object({ taken: waitingSchema });

export interface AskedOf extends Asked {
  /** How many experiments it has heard the end of; 0 where it has heard of none since it began. */
  experiments: number;
}

/** Null where the server no longer has the run's history. */
export async function requestsInHistory(
  client: Client,
  workflowId: string,
  runId: string,
): Promise<AskedOf | null> {
  const { events } = await client.workflow.getHandle(workflowId, runId).fetchHistory();
  const decode = (from: { payloads?: Payload[] | null } | null | undefined): Promise<unknown[]> =>
    decodeValues(client.options.loadedDataConverter, from);
  let state: StudyState | null = null;
  let experiments = 0;
  for (const event of events ?? []) {
    if (event.workflowExecutionStartedEventAttributes) {
      const [config, carried] = await decode(event.workflowExecutionStartedEventAttributes.input);
      const { limits, waiting } = askedSchema.parse(carried ?? config);
      state = newStudy(limits, waiting);
    }
    if (state === null) continue;
    const signal = event.workflowExecutionSignaledEventAttributes;
    if (signal) state = heard(state, signal.signalName ?? '', await decode(signal.input).catch(asUnreadable));
    const update = event.workflowExecutionUpdateAcceptedEventAttributes?.acceptedRequest?.input;
    if (update) state = heard(state, update.name ?? '', await decode(update.args).catch(asUnreadable));
    const done = event.childWorkflowExecutionCompletedEventAttributes;
    if (done) {
      const [answer] = await decode(done.result);
      state = takeIn(state, doneSchema.parse(answer).taken);
      experiments = (experimentOf(workflowId, done.workflowExecution?.workflowId ?? '') ?? -1) + 1;
    }
  }
  return state === null ? null : { limits: state.limits, waiting: state.waiting, experiments };
}

/**
 * Drops a message that nobody can read: anyone may send a signal that is no JSON, or is encrypted with a key that nobody has. It must not
 * keep the study from being started again. A key that is only missing here shows at the run's own input.
 */
const asUnreadable = (): unknown[] => [];

function heard(state: StudyState, name: string, [request]: unknown[]): StudyState {
  try {
    if (name === 'adjustBudget') return adjustLimits(state, parseBudgetChange(request));
    if (name === 'hint') return hint(state, parseHint(request));
    if (name === 'idea') return idea(state, parseIdea(request));
    return state;
  } catch (error) {
    // A signal that the workflow refused, too.
    if (error instanceof BadRequest) return state;
    throw error;
  }
}
