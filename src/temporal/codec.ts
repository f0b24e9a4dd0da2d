/**
 * Encrypts Temporal payloads if a key is set: inputs, results, heartbeats, failures, summaries. AES-256-GCM, in the format of
 * Temporal's samples: metadata `encoding` and `encryption-key-id`; data is 12 bytes of IV, the encrypted payload message,
 * 16 bytes of tag. Temporal itself must read ids, names of activities and queues, search attributes and times, so these stay
 * plain. Plain payloads are decoded as they are, so a study that began without a key continues with one.
 */
import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { DataConverter, Payload, PayloadCodec } from '@temporalio/common';
import { decode, encode } from '@temporalio/common/lib/encoding';
import { temporal } from '@temporalio/proto';
import { asset } from '../process/package-root';

const ENCODING = 'binary/encrypted';
const KEY_BYTES = 32;
const IV_BYTES = 12;
const TAG_BYTES = 16;
const VARIABLE = 'AUTORESEARCH_CODEC_KEY';
const FILE_VARIABLE = 'AUTORESEARCH_CODEC_KEY_FILE';

/** The keys are invalid, or none of them decrypts a payload. The message never contains a key. */
export class CodecKeyError extends Error {
  override name = 'CodecKeyError';
  constructor(
    message: string,
    readonly todo: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

export interface CodecKey {
  /** 8 hex digits of the key's hash: identifies the key without revealing it. */
  id: string;
  secret: Buffer;
}

/**
 * The environment's keys. The first one encrypts; the others only decrypt older payloads. Without keys nothing is
 * encrypted.
 * @throws CodecKeyError
 */
export function codecKeys(): CodecKey[] {
  const [value = '', file = ''] = [process.env[VARIABLE], process.env[FILE_VARIABLE]];
  if (value !== '' && file !== '') {
    throw new CodecKeyError(`${VARIABLE} and ${FILE_VARIABLE} are both set`, 'set one of them');
  }
  const text = file === '' ? value : readKeyFile(file);
  const where = file === '' ? VARIABLE : file;
  const keys = text.split(/[\s,]+/u).filter((word) => word !== '');
  if (keys.length === 0 && file !== '') throw new CodecKeyError(`${file} contains no key`, MAKE_ONE);
  return keys.map((word, index) => {
    const secret = Buffer.from(word, 'base64');
    if (secret.length === KEY_BYTES && /^[\w+/=-]+$/u.test(word)) return { id: keyId(secret), secret };
    throw new CodecKeyError(`key ${index + 1} in ${where} is not ${KEY_BYTES} bytes as base64`, MAKE_ONE);
  });
}

const MAKE_ONE = 'make one with `openssl rand -base64 32`';

const keyId = (secret: Buffer): string => createHash('sha256').update(secret).digest('hex').slice(0, 8);

function readKeyFile(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new CodecKeyError(
      `${FILE_VARIABLE}=${file} cannot be read: ${error instanceof Error ? error.message : String(error)}`,
      'set it to a file with one key per line, the encrypting key first',
      { cause: error },
    );
  }
}

/**
 * For clients, workers and replay. Without a key it reports encrypted payloads with a CodecKeyError.
 * @throws CodecKeyError
 */
export function dataConverter(keys = codecKeys()): DataConverter {
  const converter = { payloadCodecs: [new EncryptionCodec(keys)] };
  return keys.length === 0
    ? converter
    : { ...converter, failureConverterPath: asset('dist', 'temporal', 'failure-converter.js') };
}

/** The workflow bundle: with keys the build that also encrypts failure messages, because a bundle cannot read the environment. */
export const workflowBundle = (keys = codecKeys()): { codePath: string } => ({
  codePath: asset('dist', keys.length === 0 ? 'workflows.bundle.js' : 'workflows.encrypted.bundle.js'),
});

/** Encrypts with the first key, decrypts with the key that the payload names. Without keys it encrypts nothing. */
export class EncryptionCodec implements PayloadCodec {
  constructor(private readonly keys: readonly CodecKey[]) {}

  async encode(payloads: Payload[]): Promise<Payload[]> {
    const [key] = this.keys;
    return key === undefined ? payloads : payloads.map((payload) => encrypt(payload, key));
  }

  /** @throws CodecKeyError */
  async decode(payloads: Payload[]): Promise<Payload[]> {
    return payloads.map((payload) => (isEncrypted(payload) ? this.#decrypt(payload) : payload));
  }

  #decrypt({ metadata, data }: Payload): Payload {
    const named = metadata?.['encryption-key-id'];
    const id = named ? decode(named) : '(unnamed)';
    const key = this.keys.find((each) => each.id === id);
    if (key === undefined) {
      const have = this.keys.map((each) => each.id).join(', ');
      throw new CodecKeyError(
        `a payload is encrypted with key ${id}, but ${have === '' ? `${VARIABLE} is not set` : `only ${have} is set`}`,
        `add that key to ${VARIABLE} (or to the file in ${FILE_VARIABLE}), for the worker and for each command`,
      );
    }
    return decrypt(data ?? new Uint8Array(), key);
  }
}

const isEncrypted = ({ metadata }: Payload): boolean =>
  metadata?.['encoding'] !== undefined && decode(metadata['encoding']) === ENCODING;

function encrypt(payload: Payload, { id, secret }: CodecKey): Payload {
  const iv = randomBytes(IV_BYTES);
  const cipher = createCipheriv('aes-256-gcm', secret, iv, { authTagLength: TAG_BYTES });
  const plain = temporal.api.common.v1.Payload.encode(payload).finish();
  return {
    metadata: { encoding: encode(ENCODING), 'encryption-key-id': encode(id) },
    data: Buffer.concat([iv, cipher.update(plain), cipher.final(), cipher.getAuthTag()]),
  };
}

function decrypt(data: Uint8Array, { id, secret }: CodecKey): Payload {
  try {
    const decipher = createDecipheriv('aes-256-gcm', secret, data.subarray(0, IV_BYTES), {
      authTagLength: TAG_BYTES,
    });
    decipher.setAuthTag(data.subarray(-TAG_BYTES));
    const plain = [decipher.update(data.subarray(IV_BYTES, -TAG_BYTES)), decipher.final()];
    return temporal.api.common.v1.Payload.decode(Buffer.concat(plain));
  } catch (error) {
    throw new CodecKeyError(
      `a payload encrypted with key ${id} cannot be decrypted: it was modified`,
      'compare with a backup of the Temporal database; the ledger in git is not affected',
      { cause: error },
    );
  }
}
