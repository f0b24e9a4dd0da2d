/** Which errors of fetch say that no connection was made: nothing was sent over it then, and nothing is owed. */
import { subscribe } from 'node:diagnostics_channel';

const failed = new WeakSet<object>();

/**
 * Node's fetch tells of each connection that it could not make, and ends the requests that waited for it with the very same error
 * (undici, docs/api/DiagnosticsChannel.md). Codes would not do: ECONNRESET and TLS's alerts come before a question and after it.
 */
subscribe('undici:client:connectError', (message) => {
  const told = typeof message === 'object' && message !== null && 'error' in message ? message.error : null;
  if (typeof told === 'object' && told !== null) failed.add(told);
});

/** @param error what fetch was rejected with */
export function wasNeverConnected(error: unknown): boolean {
  for (let at = error; typeof at === 'object' && at !== null; at = 'cause' in at ? at.cause : null) {
    if (failed.has(at)) return true;
  }
  return false;
}
