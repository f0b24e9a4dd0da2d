/** Decodes payloads and failures in raw server responses, with the client's codecs and converters. */
import {
  arrayFromPayloads,
  type LoadedDataConverter,
  type Payload,
  type ProtoFailure,
} from '@temporalio/common';

type Payloads = { payloads?: Payload[] | null } | null | undefined;

/** The values of a payload list, such as an input or a heartbeat. @throws CodecKeyError */
export const decodeValues = async (
  { payloadCodecs, payloadConverter }: LoadedDataConverter,
  from: Payloads,
): Promise<unknown[]> =>
  arrayFromPayloads(payloadConverter, await decoded(payloadCodecs, from?.payloads ?? []));

/** The message of a failure; null if there is no failure. @throws CodecKeyError */
export async function failureMessage(
  { payloadCodecs, payloadConverter, failureConverter }: LoadedDataConverter,
  failure: ProtoFailure | null | undefined,
): Promise<string | null> {
  if (!failure) return null;
  // Only the message and its causes are needed, not the details.
  return failureConverter.failureToError(await withMessages(payloadCodecs, failure), payloadConverter)
    .message;
}

/** The failure and its causes with decoded messages and without details. */
async function withMessages(
  codecs: LoadedDataConverter['payloadCodecs'],
  { message, source, encodedAttributes, cause }: ProtoFailure,
): Promise<ProtoFailure> {
  const [attributes] = await decoded(codecs, encodedAttributes ? [encodedAttributes] : []);
  return {
    message: message ?? null,
    source: source ?? null,
    encodedAttributes: attributes ?? null,
    cause: cause ? await withMessages(codecs, cause) : null,
  };
}

/** The last codec decodes first. */
async function decoded(
  codecs: LoadedDataConverter['payloadCodecs'],
  payloads: Payload[],
): Promise<Payload[]> {
  let result = payloads;
  for (const codec of codecs.toReversed()) result = await codec.decode(result);
  return result;
}
