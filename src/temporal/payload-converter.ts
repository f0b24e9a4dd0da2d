/**
 * How workflows read what is sent to them. A message that no JSON can be made of would fail the workflow's task, again and
 * again and for ever, for it stays in its history. So the workflow gets to see that there was something unreadable, and
 * refuses that like any other request that it does not understand. What is encrypted with an unknown key never comes
 * here: the codec fails before, and the task succeeds once the key is there.
 */
import { DefaultPayloadConverter, type Payload } from '@temporalio/common';

class ForgivingPayloadConverter extends DefaultPayloadConverter {
  // oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- as the SDK has it
  override fromPayload<T>(payload: Payload): T {
    try {
      return super.fromPayload<T>(payload);
    } catch (error) {
      const unreadable = error instanceof Error ? error.message : String(error);
      return super.fromPayload<T>(this.toPayload({ unreadable }));
    }
  }
}

/** By the name that the bundler looks for. */
export const payloadConverter = new ForgivingPayloadConverter();
