/** How workflows call activities: the study's own queue or a lane's, retries and the timeouts that stand behind the runner's own clocks. */
import {
  ActivityCancellationType,
  proxyActivities,
  type ActivityOptions,
  type RetryPolicy,
} from '@temporalio/workflow';
import type { ControlActivities, DeviceActivities } from '../activities/interface';
import type { Caps } from '../domain/run';
import type { TrainBudget } from '../domain/budget';
import { MAX_ATTEMPTS } from '../domain/experiment';

/**
 * Our own trouble (a full disk, a lost network, a busy git) is retried for ever, a minute apart at most: a study
 * that runs for weeks waits and goes on. What no retry can mend is thrown as non-retryable.
 */
const retry: RetryPolicy = {
  initialInterval: '1 second',
  backoffCoefficient: 2,
  maximumInterval: '1 minute',
};

/** Activities send a heartbeat every 10 s. This long after a worker's death, another worker gets its work; runs go on meanwhile. */
const HEARTBEAT = '30 seconds';
/** Above the caps, for exporting files, killing and writing. */
const MARGIN_SECONDS = 120;
/** Nobody may serve a lane any more: its GPU is gone, or the worker was told of another one. Then the study is opened anew. */
const LANE_SECONDS = 3600;
/** A budget in steps has no length of its own; the stall cap ends what hangs. */
const STEPS_SECONDS = 7 * 86_400;

export const { openStudy } = proxyActivities<ControlActivities>({
  startToCloseTimeout: '6 hours', // a first download of training data
  heartbeatTimeout: HEARTBEAT,
  // Cancelled before its workflow has closed, it ends its preparer.
  cancellationType: ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
  retry,
});

export const { propose } = proxyActivities<ControlActivities>({
  startToCloseTimeout: '2 hours', // a coding agent's working time; researchers have shorter limits of their own
  heartbeatTimeout: '1 minute', // asking twice costs money, so a worker that only stalls gets more time
  cancellationType: ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
  retry,
});

export const { apply, record, save } = proxyActivities<ControlActivities>({
  startToCloseTimeout: '5 minutes',
  heartbeatTimeout: HEARTBEAT,
  retry,
});

/**
 * A process that hangs in the kernel cannot be ended, and nobody is to wait for it for more than some ten minutes. While no worker is
 * there nothing is tried: the first that comes back does it, however late.
 */
export const { endWork } = proxyActivities<ControlActivities>({
  startToCloseTimeout: '2 minutes',
  heartbeatTimeout: HEARTBEAT,
  retry: { ...retry, maximumAttempts: 10 },
});

/** The two activities of a lane. The runner keeps the real clock; these timeouts only catch a runner that cannot. */
export function onLane(queue: string, budget: TrainBudget, caps: Caps) {
  const common: ActivityOptions = {
    taskQueue: queue,
    heartbeatTimeout: HEARTBEAT,
    cancellationType: ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
    retry,
  };
  const training = caps.startup + ('seconds' in budget ? budget.seconds : STEPS_SECONDS) + caps.submission;
  const trainingAtMost = MAX_ATTEMPTS * training + MARGIN_SECONDS;
  // Other studies' runs, which may come first, are likely to be as long as ours.
  const scheduleToStartTimeout = 1000 * Math.max(LANE_SECONDS, 'seconds' in budget ? trainingAtMost : 0);
  const { train } = proxyActivities<DeviceActivities>({
    ...common,
    scheduleToStartTimeout,
    startToCloseTimeout: 1000 * trainingAtMost,
  });
  const { evaluate } = proxyActivities<DeviceActivities>({
    ...common,
    scheduleToStartTimeout,
    startToCloseTimeout: 1000 * (MAX_ATTEMPTS * caps.score + MARGIN_SECONDS),
  });
  return { train, evaluate };
}
