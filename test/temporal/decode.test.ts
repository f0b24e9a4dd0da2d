import { randomBytes } from 'node:crypto';
import { Client, Connection } from '@temporalio/client';
import { ApplicationFailure, DefaultFailureConverter, defaultPayloadConverter } from '@temporalio/common';
import { dataConverter, EncryptionCodec, type CodecKey } from '../../src/temporal/codec';
import { decodeValues, failureMessage } from '../../src/temporal/decode';

const key: CodecKey = { id: 'key', secret: randomBytes(32) };
const converterOf = (keys: CodecKey[]) =>
  new Client({ connection: Connection.lazy(), dataConverter: dataConverter(keys) }).options
    .loadedDataConverter;
const codec = new EncryptionCodec([key]);

test('values are decrypted; no payloads are no values', async () => {
  const payloads = await codec.encode([defaultPayloadConverter.toPayload({ step: 3 })]);
  expect(await decodeValues(converterOf([key]), { payloads })).toEqual([{ step: 3 }]);
  expect(await decodeValues(converterOf([]), null)).toEqual([]);
  await expect(decodeValues(converterOf([]), { payloads })).rejects.toMatchObject({ name: 'CodecKeyError' });
});

test('the message of a failure is decrypted, whatever details it and its cause have', async () => {
  const cause = ApplicationFailure.create({ message: 'inner words', details: [{ a: 1 }] });
  const error = ApplicationFailure.create({ message: 'secret words', details: [1], cause });
  const failure = new DefaultFailureConverter({ encodeCommonAttributes: true }).errorToFailure(
    error,
    defaultPayloadConverter,
  );
  expect(failure.message).not.toContain('secret');
  for (const each of [failure, failure.cause!]) {
    const [encrypted] = await codec.encode([each.encodedAttributes!]);
    each.encodedAttributes = encrypted!;
  }
  expect(await failureMessage(converterOf([key]), failure)).toBe('secret words');
  await expect(failureMessage(converterOf([]), failure)).rejects.toMatchObject({ name: 'CodecKeyError' });
});

test('a plain failure has its message, no failure has none', async () => {
  const failure = new DefaultFailureConverter().errorToFailure(new Error('words'), defaultPayloadConverter);
  expect(await failureMessage(converterOf([]), failure)).toBe('words');
  expect(await failureMessage(converterOf([]), undefined)).toBeNull();
});
