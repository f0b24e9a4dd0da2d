/** Beats while something takes its time, so that the server knows that we live and can tell us to stop. */
import { heartbeat } from '@temporalio/activity';

const EVERY_MS = 1_000;

/** Waits for `work`, beating once a second with whatever `details` says then. */
export async function heartbeatWhile<T>(
  work: Promise<T>,
  details: () => unknown = () => undefined,
): Promise<T> {
  heartbeat(details());
  const timer = setInterval(() => heartbeat(details()), EVERY_MS);
  try {
    return await work;
  } finally {
    clearInterval(timer);
  }
}

/** The same activity, beating while it is at work: the server then knows soon when its worker has died. */
export function beating<Input, Output>(
  activity: (input: Input) => Promise<Output>,
): (input: Input) => Promise<Output> {
  return (input) => heartbeatWhile(activity(input));
}
