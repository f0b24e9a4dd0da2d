/**
 * Workflow tasks that brought news and sent the server no command. Replayed, such a task and the next one become a single one,
 * in which messages are handled first: so a study must have none, whatever happens to it.
 */
import type { History } from '@temporalio/common/lib/proto-utils';
import * as messages from '../../src/workflows/messages';

type Event = NonNullable<History['events']>[number];

/** What the code of a study notices. */
const NEWS: readonly (keyof Event)[] = [
  'activityTaskCompletedEventAttributes',
  'activityTaskFailedEventAttributes',
  'activityTaskTimedOutEventAttributes',
  'activityTaskCanceledEventAttributes',
  'timerFiredEventAttributes',
  'startChildWorkflowExecutionFailedEventAttributes',
  'childWorkflowExecutionStartedEventAttributes',
  'childWorkflowExecutionCompletedEventAttributes',
  'childWorkflowExecutionFailedEventAttributes',
  'childWorkflowExecutionCanceledEventAttributes',
  'childWorkflowExecutionTimedOutEventAttributes',
  'childWorkflowExecutionTerminatedEventAttributes',
  'workflowExecutionSignaledEventAttributes',
];
/** What ends the search of the SDK (`find_end_index_of_next_wft_seq` of its core). */
const COMMANDS: readonly (keyof Event)[] = [
  'activityTaskScheduledEventAttributes',
  'activityTaskCancelRequestedEventAttributes',
  'timerStartedEventAttributes',
  'timerCanceledEventAttributes',
  'requestCancelExternalWorkflowExecutionInitiatedEventAttributes',
  'startChildWorkflowExecutionInitiatedEventAttributes',
  'upsertWorkflowSearchAttributesEventAttributes',
  'workflowExecutionUpdateAcceptedEventAttributes',
  'workflowExecutionContinuedAsNewEventAttributes',
  'workflowExecutionCompletedEventAttributes',
  'workflowExecutionFailedEventAttributes',
  'workflowExecutionCanceledEventAttributes',
];
const SIGNALS = new Set(
  Object.values(messages).flatMap(({ type, name }) => (type === 'signal' ? [name] : [])),
);

const has = (event: Event | undefined, keys: readonly (keyof Event)[]): keyof Event | undefined =>
  keys.find((key) => event?.[key] !== null && event?.[key] !== undefined);

/** The SDK overlooks a signal that the code has no handler for, and so does this. */
const isNews = (event: Event): boolean => {
  const signal = event.workflowExecutionSignaledEventAttributes;
  return signal ? SIGNALS.has(signal.signalName ?? '') : has(event, NEWS) !== undefined;
};

/** @returns the news of each such task, in words */
export function silentTasks({ events }: History): string[] {
  const found: string[] = [];
  let started: Event[] = [];
  let since: Event[] = [];
  for (const [index, event] of (events ?? []).entries()) {
    since.push(event);
    if (event.workflowTaskStartedEventAttributes) started = since;
    if (!event.workflowTaskCompletedEventAttributes) continue;
    const news = started.filter(isNews);
    since = since.slice(started.length);
    const next = events?.[index + 1];
    // A history that ends by force there says nothing.
    const isEnded = next?.workflowExecutionTerminatedEventAttributes;
    if (news.length > 0 && has(next, COMMANDS) === undefined && !isEnded)
      found.push(`${String(event.eventId)}: ${news.map((each) => has(each, NEWS)).join(', ')}`);
  }
  return found;
}
