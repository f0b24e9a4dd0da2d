/** Calls that never left this machine, or got only an error: they cost nothing. */
import dns from 'node:dns';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { brokenAfter } from '../../messages-api/reply';
import { KEY, serve } from './asking';
import { failureOf, good, newStudy, run, spent } from './studied';

jest.setTimeout(60_000);

const OVERLOADED = { type: 'overloaded_error', message: 'Overloaded' };

test.each([
  ['quotes of a word processor', `“${KEY}”`],
  ['letters of another alphabet', KEY.replace('p', 'р')],
  ['a line break in it', `${KEY}\nexport`],
])('a key with %s needs a person; no request is made, nothing is charged', async (_what, key) => {
  const api = await serve(good);
  process.env['ANTHROPIC_API_KEY'] = key;
  const study = await newStudy();
  const failure = await failureOf(run(study, 2));
  expect([failure.type, failure.nonRetryable]).toEqual(['ModelKey', true]);
  expect(failure.message).toMatch(/ANTHROPIC_API_KEY.*`npx autoresearch up`.*resume`/);
  expect([await spent(study), api.served]).toEqual([0, []]);
  // Keys read from a file end with a line break.
  process.env['ANTHROPIC_API_KEY'] = `${KEY}\n`;
  expect(await run(study, 2)).toMatchObject({ gaveUp: null });
});

test.each(['api.example.com', 'localhost:8080', 'ftp://example.com', 'https://name:word@example.com'])(
  'ANTHROPIC_BASE_URL=%s: a person has to act; nothing is asked or owed',
  async (address) => {
    await serve(good);
    process.env['ANTHROPIC_BASE_URL'] = address;
    const study = await newStudy();
    const failure = await failureOf(run(study, 2));
    expect([failure.type, failure.nonRetryable]).toEqual(['ModelAddress', true]);
    expect(failure.message).toMatch(/ANTHROPIC_BASE_URL is not an address.*`npx autoresearch up`.*resume`/);
    expect(failure.message).not.toContain('word');
    expect(await spent(study)).toBe(0);
  },
);

test('other invalid variables are reported without their values', async () => {
  await serve(good);
  process.env['ANTHROPIC_CUSTOM_HEADERS'] = 'x-team: planted\r in';
  const study = await newStudy();
  try {
    const failure = await failureOf(run(study, 2));
    expect([failure.type, failure.nonRetryable]).toEqual(['ModelSetup', true]);
    expect(failure.message).toContain('ANTHROPIC_');
    expect(failure.message).not.toContain('planted');
    expect(await spent(study)).toBe(0);
  } finally {
    delete process.env['ANTHROPIC_CUSTOM_HEADERS'];
  }
});

async function expectNothingOwed(address: string): Promise<string> {
  process.env['ANTHROPIC_BASE_URL'] = address;
  const study = await newStudy();
  const failure = await failureOf(run(study, 2));
  expect([failure.type, failure.nonRetryable]).toEqual(['ModelUnreachable', false]);
  expect(await spent(study)).toBe(0);
  return failure.message;
}

describe('a connection that fails is retried and costs nothing', () => {
  test('none of several addresses accepts it', async () => {
    const api = await serve(good);
    const { port } = new URL(api.url);
    await api.stop();
    const both = [
      { address: '127.0.0.1', family: 4 },
      { address: '127.0.0.2', family: 4 },
    ];
    const lookup = jest.spyOn(dns, 'lookup');
    lookup.mockImplementation(((_host: string, _options: object, done: (...found: unknown[]) => void) =>
      done(null, both)) as typeof dns.lookup);
    try {
      expect(await expectNothingOwed(`http://two.invalid:${port}`)).toContain('127.0.0.2');
    } finally {
      lookup.mockRestore();
    }
  });

  test('the peer does not speak TLS, like a captive portal', async () => {
    const api = await serve(good);
    expect(await expectNothingOwed(api.url.replace('http:', 'https:'))).toMatch(/version number/i);
    expect(api.served).toHaveLength(0);
  });

  test('the peer aborts the handshake', async () => {
    await serve(good);
    const server = createServer((socket) => socket.destroy()).listen(0, '127.0.0.1');
    await once(server, 'listening');
    try {
      const { port } = server.address() as AddressInfo;
      expect(await expectNothingOwed(`https://127.0.0.1:${port}`)).toContain('before secure TLS');
    } finally {
      server.close();
    }
  });
});

test('a question without an answer costs nothing, and is retried rarely', async () => {
  await serve(good);
  const server = createServer((socket) => socket.once('data', () => socket.destroy())).listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    process.env['ANTHROPIC_BASE_URL'] = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const study = await newStudy();
    for (let time = 0; time < 20; time++) {
      const { type, nextRetryDelay } = await failureOf(run(study, 0.5));
      expect([type, nextRetryDelay]).toEqual(['ModelUnanswered', 60_000]);
    }
    expect(await spent(study)).toBe(0);
  } finally {
    server.close();
  }
});

test('an error instead of an answer costs nothing; inside an answer, input and the longest output', async () => {
  const api = await serve(() => brokenAfter(good(), 0, OVERLOADED));
  const study = await newStudy();
  expect((await failureOf(run(study, 2))).type).toBe('ModelBusy');
  expect(await spent(study)).toBe(0);
  api.reply = () => brokenAfter(good(), 4, OVERLOADED);
  expect((await failureOf(run(study, 2))).type).toBe('ModelBusy');
  expect(await spent(study)).toBeGreaterThan(0.16);
});
