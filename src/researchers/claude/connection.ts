/** Tells whether a failed fetch never connected: then the API got no request, and the call costs nothing. */
import { subscribe } from 'node:diagnostics_channel';

const failed = new WeakSet<object>();

/**
 * Node's fetch publishes the error of each connection that failed, and rejects the requests waiting for it with the same error
 * object (undici, docs/api/DiagnosticsChannel.md). Error codes cannot tell: ECONNRESET and TLS alerts occur before and after a
 * request is sent.
 */
subscribe('undici:client:connectError', (message) => {
  const error = typeof message === 'object' && message !== null && 'error' in message ? message.error : null;
  if (typeof error === 'object' && error !== null) failed.add(error);
});

/** @param error what fetch was rejected with */
export function wasNeverConnected(error: unknown): boolean {
  for (let at = error; typeof at === 'object' && at !== null; at = 'cause' in at ? at.cause : null) {
    if (failed.has(at)) return true;
  }
  return false;
}
