/** Nobody can wait an hour in a test: whatever is not begun after a second has waited for too long. */
import type { WorkflowInterceptors } from '@temporalio/workflow';

export const interceptors = (): WorkflowInterceptors => ({
  inbound: [],
  outbound: [
    {
      scheduleActivity: (input, next) =>
        next({ ...input, options: { ...input.options, scheduleToStartTimeout: '1 second' } }),
    },
  ],
});
