/**
 * Decodes payloads for workflows. A signal that is not JSON stays in the history, so an error here would fail the workflow's task for
 * ever. The workflow receives `{unreadable}` instead and refuses it like any invalid request. Payloads encrypted with an unknown key
 * fail earlier, in the codec; the task succeeds once the key is set.
 */
import { DefaultPayloadConverter, type Payload } from '@temporalio/common';

class ForgivingPayloadConverter extends DefaultPayloadConverter {
  // oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- the SDK's signature
  override fromPayload<T>(payload: Payload): T {
    try {
      return super.fromPayload<T>(payload);
    } catch (error) {
      const unreadable = error instanceof Error ? error.message : String(error);
      return super.fromPayload<T>(this.toPayload({ unreadable }));
    }
  }
}

/** The bundler looks for this name. */
export const payloadConverter = new ForgivingPayloadConverter();
