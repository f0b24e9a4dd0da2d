/** Nobody can wait for minutes in a test: a worker is soon missed, and what fails is tried again at once, as often. */
import type { WorkflowInterceptors } from '@temporalio/workflow';

const QUICKLY = { initialInterval: '10 ms', maximumInterval: '20 ms' } as const;

export const interceptors = (): WorkflowInterceptors => ({
  inbound: [],
  outbound: [
    {
      scheduleActivity: (input, next) => {
        const { options } = input;
        const retry = { ...options.retry, ...QUICKLY };
        return next({ ...input, options: { ...options, heartbeatTimeout: '2 seconds', retry } });
      },
    },
  ],
});
