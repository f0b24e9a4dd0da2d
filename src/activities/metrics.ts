/** Our own metrics beside the SDK's: experiments, run seconds, lane use, dollars and retries. */
import type { Context } from '@temporalio/activity';
import type { MetricMeter } from '@temporalio/common';
import type { ActivityInterceptorsFactory } from '@temporalio/worker';
import { z } from 'zod';

/** These occupy a device's lane. */
const LANE_ACTIVITIES = new Set(['train', 'evaluate']);
const runSchema = z.object({ wallSeconds: z.number() });
const recordedSchema = z.object({ summary: z.object({ verdict: z.string() }) });
const recordingSchema = z.object({
  study: z.object({ tag: z.string(), researcher: z.string() }),
  dollars: z.number(),
});

/**
 * Counts when an attempt of an activity ends. A worker that dies just after that repeats the activity, which then counts twice: the
 * ledger has the exact figures.
 * @param meter the runtime's; it has no effect if no exporter is configured
 */
export function activityMetrics(meter: MetricMeter): ActivityInterceptorsFactory {
  const experiments = meter.createCounter('autoresearch_experiments', '', 'Recorded experiments by verdict');
  const retries = meter.createCounter('autoresearch_activity_retries', '', 'Attempts after the first one');
  const histogram = (name: string, unit: string, text: string) =>
    meter.createHistogram(name, 'float', unit, text);
  const runSeconds = histogram(
    'autoresearch_run_seconds',
    's',
    'Wall time of a training, its restarts included',
  );
  const busySeconds = histogram(
    'autoresearch_lane_busy_seconds',
    's',
    'Time for which an activity held a lane',
  );
  const dollars = histogram('autoresearch_dollars', '', 'Messages API cost of an experiment');

  const count = ({ info }: Context, seconds: number, [input]: unknown[], result: unknown): void => {
    const activity = info.activityType;
    if (LANE_ACTIVITIES.has(activity)) busySeconds.record(seconds, { lane: info.taskQueue, activity });
    const run = activity === 'train' ? runSchema.safeParse(result).data : undefined;
    if (run !== undefined) runSeconds.record(run.wallSeconds, { lane: info.taskQueue });
    if (activity !== 'record') return;
    const [recorded, recording] = [
      recordedSchema.safeParse(result).data,
      recordingSchema.safeParse(input).data,
    ];
    if (recorded === undefined || recording === undefined) return;
    const study = { study: recording.study.tag, researcher: recording.study.researcher };
    experiments.add(1, { ...study, verdict: recorded.summary.verdict });
    dollars.record(recording.dollars, study);
  };

  return (context) => ({
    inbound: {
      execute: async (input, next) => {
        const { attempt, activityType: activity } = context.info;
        if (attempt > 1) retries.add(1, { activity });
        const began = performance.now();
        let result: unknown;
        try {
          return (result = await next(input));
        } finally {
          count(context, (performance.now() - began) / 1000, input.args, result);
        }
      },
    },
  });
}
