import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { defaultPayloadConverter, type Payload } from '@temporalio/common';
import { codecKeys, EncryptionCodec, type CodecKey } from '../../src/temporal/codec';
import { serveCodec } from '../../src/host/codec-server';

const before = { ...process.env };
const folder = mkdtempSync(join(tmpdir(), 'autoresearch-codec-'));
beforeEach(() => {
  delete process.env['AUTORESEARCH_CODEC_KEY'];
  delete process.env['AUTORESEARCH_CODEC_KEY_FILE'];
});
afterEach(() => (process.env = { ...before }));
afterAll(() => rmSync(folder, { recursive: true }));

const base64Key = (): string => randomBytes(32).toString('base64');
const payload = (value: unknown): Payload => defaultPayloadConverter.toPayload(value);
const value = (encoded: Payload | undefined): unknown => defaultPayloadConverter.fromPayload(encoded!);
const bytes = ({ data, metadata }: Payload): Buffer =>
  Buffer.concat([data!, ...Object.values(metadata!)].map((each) => Buffer.from(each)));

/** A request body of the UI. */
const json = (payloads: Payload[]): string =>
  JSON.stringify({
    payloads: payloads.map(({ metadata, data: content }) => ({
      metadata: Object.fromEntries(
        Object.entries(metadata!).map(([name, data]) => [name, Buffer.from(data).toString('base64')]),
      ),
      data: Buffer.from(content!).toString('base64'),
    })),
  });

function keysOf(text: string): CodecKey[] {
  process.env['AUTORESEARCH_CODEC_KEY'] = text;
  return codecKeys();
}

describe('the codec', () => {
  test('round-trips, and the encrypted payload shows no plain text', async () => {
    const codec = new EncryptionCodec(keysOf(base64Key()));
    const said = { hint: 'plantedword', score: 1.5 };
    const [once, twice] = await codec.encode([payload(said), payload(said)]);
    expect(bytes(once!).includes('plantedword')).toBe(false);
    expect(bytes(once!).equals(bytes(twice!))).toBe(false);
    expect((await codec.decode([once!, twice!])).map(value)).toEqual([said, said]);
    expect(await codec.encode([])).toEqual([]);
  });

  test('reads plain payloads; without a key encrypts nothing', async () => {
    const plain = [payload('before'), payload(null)];
    expect(await new EncryptionCodec(keysOf(base64Key())).decode(plain)).toEqual(plain);
    expect(await new EncryptionCodec([]).encode(plain)).toEqual(plain);
  });

  test('rotates keys: the new one goes first', async () => {
    const [old, fresh] = [base64Key(), base64Key()];
    const [first, other] = [keysOf(old)[0]!, keysOf(fresh)[0]!];
    const kept = await new EncryptionCodec([first]).encode([payload('old')]);
    const rotated = new EncryptionCodec(keysOf(`${fresh},${old}`));
    expect((await rotated.decode(kept)).map(value)).toEqual(['old']);
    const made = await rotated.encode([payload('new')]);
    expect((await new EncryptionCodec([other]).decode(made)).map(value)).toEqual(['new']);
  });

  test('without the right key names its id, and never reveals a key', async () => {
    const [wrong, right] = [base64Key(), base64Key()];
    const [key] = keysOf(right);
    const made = await new EncryptionCodec([key!]).encode([payload('x')]);
    const others = new EncryptionCodec(keysOf(wrong)).decode(made);
    await expect(others).rejects.toMatchObject({
      name: 'CodecKeyError',
      message: expect.stringMatching(
        new RegExp(`encrypted with key ${key!.id}, but only [0-9a-f]{8} is set`),
      ),
      todo: expect.stringContaining('AUTORESEARCH_CODEC_KEY'),
    });
    const error = await others.catch(String);
    expect(error).not.toContain(wrong);
    await expect(new EncryptionCodec([]).decode(made)).rejects.toThrow('AUTORESEARCH_CODEC_KEY is not set');
  });

  test('refuses a payload with any byte modified', async () => {
    const codec = new EncryptionCodec(keysOf(base64Key()));
    const [made] = await codec.encode([payload('x')]);
    for (const at of [0, 12, made!.data!.length - 1]) {
      const data = Uint8Array.from(made!.data!);
      data[at]! ^= 1;
      await expect(codec.decode([{ ...made!, data }])).rejects.toThrow('it was modified');
    }
    await expect(codec.decode([{ ...made!, data: made!.data!.subarray(0, 5) }])).rejects.toThrow('modified');
  });
});

describe('keys', () => {
  test('come from a file too, one per line', () => {
    const file = join(folder, 'keys');
    writeFileSync(file, `${base64Key()}\n${base64Key()}\n`);
    process.env['AUTORESEARCH_CODEC_KEY_FILE'] = file;
    expect(codecKeys()).toHaveLength(2);
    process.env['AUTORESEARCH_CODEC_KEY'] = base64Key();
    expect(codecKeys).toThrow('are both set');
  });

  test.each([
    ['too short', randomBytes(16).toString('base64')],
    ['not base64', 'x'.repeat(42) + '!!'],
    ['a passphrase', 'correct horse battery staple'],
  ])('%s: refused without being repeated', (_, text) => {
    process.env['AUTORESEARCH_CODEC_KEY'] = text;
    expect(codecKeys).toThrow(/^key 1 in AUTORESEARCH_CODEC_KEY is not 32 bytes as base64$/);
  });

  test('a missing or empty file is an error', () => {
    process.env['AUTORESEARCH_CODEC_KEY_FILE'] = join(folder, 'absent');
    expect(codecKeys).toThrow(/absent cannot be read: .*ENOENT/);
    writeFileSync(join(folder, 'empty'), '\n');
    process.env['AUTORESEARCH_CODEC_KEY_FILE'] = join(folder, 'empty');
    expect(codecKeys).toThrow('contains no key');
  });
});

describe('the endpoint', () => {
  const UI = 'http://localhost:8233';
  let url = '';
  let server: Server;
  let codec: EncryptionCodec;
  beforeAll(async () => {
    codec = new EncryptionCodec(keysOf(base64Key()));
    ({ url, server } = await serveCodec(codec, { port: 0, origins: [UI] }));
  });
  afterAll(() => void server.close());

  const post = (path: string, body: string, headers: Record<string, string> = {}): Promise<Response> =>
    fetch(`${url}${path}`, { method: 'POST', body, headers });

  test('decodes what the UI posts, and encodes what the CLI would send', async () => {
    const encoded = await codec.encode([payload({ hint: 'hello' })]);
    const decoded = await post('/decode?namespace=default', json(encoded), {
      Origin: UI,
      'Content-Type': 'application/json',
      'X-Namespace': 'default',
    });
    expect(decoded.status).toBe(200);
    expect(decoded.headers.get('access-control-allow-origin')).toBe(UI);
    const { payloads } = (await decoded.json()) as { payloads: { data: string; metadata: object }[] };
    expect(JSON.parse(Buffer.from(payloads[0]!.data, 'base64').toString())).toEqual({ hint: 'hello' });
    const sent = await post('/encode', json([payload('y')]));
    const back = await post('/decode', await sent.text());
    const [plain] = ((await back.json()) as { payloads: { data: string }[] }).payloads;
    expect(Buffer.from(plain!.data, 'base64').toString()).toBe('"y"');
  });

  test('answers the pages of the UI and no others', async () => {
    const preflight = await fetch(`${url}/decode`, {
      method: 'OPTIONS',
      headers: { Origin: UI, 'Access-Control-Request-Headers': 'content-type,x-namespace,authorization' },
    });
    expect(preflight.status).toBe(204);
    expect(preflight.headers.get('access-control-allow-headers')).toMatch(/X-Namespace/);
    const foreign = await post('/decode', json([]), { Origin: 'http://evil.example' });
    expect(foreign.status).toBe(403);
    expect(foreign.headers.get('access-control-allow-origin')).toBeNull();
  });

  test('treats an omitted list as empty, as the CLI sends it', async () => {
    expect(await (await post('/encode', '{}')).json()).toEqual({ payloads: [] });
  });

  test('refuses an invalid request with the reason', async () => {
    expect((await post('/elsewhere', '{}')).status).toBe(404);
    expect((await fetch(`${url}/decode`)).status).toBe(405);
    for (const body of ['', 'no', '[]', '{"payloads": 3}', '{"payloads": [{"data": "%"}]}']) {
      const refused = await post('/decode', body);
      expect([body, refused.status]).toEqual([body, 400]);
      expect(await refused.json()).toEqual({ error: expect.any(String) });
    }
    const other = await new EncryptionCodec(keysOf(base64Key())).encode([payload('x')]);
    const unknown = await post('/decode', json(other));
    expect([unknown.status, await unknown.text()]).toEqual([400, expect.stringContaining('is set')]);
  });

  test('a port in use is an error', async () => {
    const port = Number(new URL(url).port);
    await expect(serveCodec(codec, { port, origins: [] })).rejects.toMatchObject({ name: 'PortInUse' });
  });
});
