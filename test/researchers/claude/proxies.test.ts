/** Proxies that speak the Messages API in their own way, over HTTP and through the real activity. */
import { strict as assert } from 'node:assert';
import type { ServerResponse } from 'node:http';
import * as fc from 'fast-check';
import { readProposal } from '../../../src/ledger/proposals';
import { SpendGuard } from '../../../src/researchers/spend-guard';
import { eventsOf, outputTokens, type Raw } from '../../messages-api/reply';
import { CHANGE, MODEL, serve } from './asking';
import { failureOf, good, journalOf, newStudy, PATIENT, run, spent, type Studied } from './studied';

jest.setTimeout(120_000);

interface Event {
  type: string;
  [field: string]: unknown;
}

const INPUT = {
  input_tokens: 1000,
  cache_creation_input_tokens: 0,
  cache_read_input_tokens: 0,
  cache_creation: { ephemeral_5m_input_tokens: 0, ephemeral_1h_input_tokens: 0 },
};
/** The cost of the tokens of `good`, in US dollars. */
const COST = (1000 * 4 + outputTokens(good()) * 20) / 1e6;

const events = (): Event[] => eventsOf(good(), MODEL.name, INPUT);

const written = (event: Event): string => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`;

const stream = (text: string | Buffer, type = 'text/event-stream'): Raw => ({
  raw: (response: ServerResponse) => {
    response.writeHead(200, { 'content-type': type });
    response.end(text);
  },
});

const each = (change: (event: Event, index: number) => Event[], given = events()): string =>
  given.flatMap(change).map(written).join('');

const withUsage =
  (usage: unknown) =>
  (event: Event): Event[] =>
    event.type === 'message_start'
      ? [{ ...event, message: { ...(event['message'] as object), usage } }]
      : [event];
const withLastUsage =
  (usage: unknown) =>
  (event: Event): Event[] =>
    event.type === 'message_delta' ? [{ ...event, usage }] : [event];
const without =
  (type: string) =>
  (event: Event): Event[] =>
    event.type === type ? [] : [event];
const withIndex =
  (index: unknown) =>
  (event: Event): Event[] =>
    'index' in event ? [{ ...event, index }] : [event];

const whole = (): string => {
  const { model } = MODEL as { model?: string };
  return JSON.stringify({
    id: 'msg_1',
    type: 'message',
    role: 'assistant',
    model: model ?? MODEL.name,
    content: good().blocks.map((block) => ({ ...block, id: 'toolu_1' })),
    stop_reason: 'tool_use',
    usage: { ...INPUT, output_tokens: 400 },
  });
};

const account = async (study: Studied) => (await SpendGuard.open(journalOf(study), null)).account();

describe('an answer is read, and costs what it reports,', () => {
  test.each([
    ['without a ping', () => stream(each(without('ping')))],
    [
      'with a charset',
      () =>
        stream(
          each((event) => [event]),
          'text/event-stream; charset=utf-8',
        ),
    ],
    ['with CRLF', () => stream(each((event) => [event]).replaceAll('\n', '\r\n'))],
    ['with `data:` without a space', () => stream(each((event) => [event]).replaceAll('data: ', 'data:'))],
    ['without the names of events', () => stream(each((event) => [event]).replaceAll(/^event: .*\n/gm, ''))],
    [
      'without the type of the content',
      () =>
        stream(
          each((event) => [event]),
          '',
        ),
    ],
    ['with a byte order mark', () => stream(`\uFEFF${each((event) => [event])}`)],
    ['without message_stop', () => stream(each(without('message_stop')))],
    ['without content_block_stop', () => stream(each(without('content_block_stop')))],
    ['that ends as OpenAI does', () => stream(`${each(without('message_stop'))}data: [DONE]\n\n`)],
    ['with its input only at the end', () => stream(each((event) => withUsage(undefined)(event), events()))],
    ['with zeros at its beginning', () => stream(each(withUsage({ input_tokens: 0, output_tokens: 0 })))],
    ['with parts that are all numbered 4294967290', () => stream(each(withIndex(4_294_967_290)))],
    ['with parts that are numbered below 0', () => stream(each(withIndex(-1)))],
    ['with parts that are not numbered', () => stream(each(withIndex(undefined)))],
    ['with numbers that are texts', () => stream(each(withIndex('0')))],
    ['with unknown events', () => stream(each((event) => [event, { type: 'usage_hint', index: 7 }]))],
  ] as [string, () => Raw][])('%s', async (_what, reply) => {
    await serve(reply);
    const study = await newStudy();
    const proposed = await run(study, 2);
    expect(proposed).toMatchObject({ title: CHANGE.title, gaveUp: null });
    expect(await account(study)).toMatchObject({ assumed: null, aside: null });
    expect(proposed.dollars).toBeCloseTo(COST, 8);
  });

  test('that comes whole, as JSON', async () => {
    await serve(() => stream(whole(), 'application/json'));
    expect(await run(await newStudy(), 2)).toMatchObject({ title: CHANGE.title, dollars: 0.012 });
  });
});

describe('an answer is read, and costs its reservation,', () => {
  const nothing = { input_tokens: undefined, output_tokens: undefined };
  test.each([
    ['missing', nothing, undefined],
    ['null', null, null],
    ['partial', { output_tokens: 1 }, { output_tokens: 300 }],
    ['zero', { input_tokens: 0, output_tokens: 0 }, { output_tokens: 0 }],
    ['negative', { ...INPUT, input_tokens: -5 }, { output_tokens: 300 }],
    ['negative at the end', INPUT, { output_tokens: -300 }],
    ['a text', { ...INPUT, input_tokens: '1000' }, { output_tokens: 300 }],
    ['a list', [1], [2]],
    ['beyond what can be counted', INPUT, { output_tokens: 2 ** 60 }],
    ['in the cache negative', { ...INPUT, cache_read_input_tokens: -1 }, { output_tokens: 300 }],
  ])('when its usage is %s', async (_what, first, last) => {
    const api = await serve(() =>
      stream(each((event) => withUsage(first)(event).flatMap(withLastUsage(last)))),
    );
    const study = await newStudy();
    const proposed = await run(study, 2);
    expect(proposed).toMatchObject({ title: CHANGE.title, gaveUp: null });
    expect(api.served).toHaveLength(1);
    const { assumed, aside, settled } = await account(study);
    expect([assumed?.calls, aside, settled]).toEqual([1, null, 0]);
    expect(assumed?.dollars).toBeGreaterThan(0.16);
    expect(proposed.dollars).toBe(assumed?.dollars);
    const { research } = await readProposal(study.git, proposed.proposal);
    expect(research).toMatchObject({ assumed, dearestCall: null, usage: { calls: 1 } });
  });

  test('fractions of tokens are rounded up', async () => {
    await serve(() =>
      stream(
        each((event) =>
          withUsage({ ...INPUT, input_tokens: 999.5 })(event).flatMap(withLastUsage({ output_tokens: 300 })),
        ),
      ),
    );
    expect((await run(await newStudy(), 2)).dollars).toBeCloseTo(0.01, 8);
  });
});

describe('an answer that is not an event stream costs nothing, is retried rarely, and its type is reported:', () => {
  test.each([
    ['HTML', () => stream('<html>Sign in</html>', 'text/html'), 'text/html'],
    ['HTML that claims to be nothing', () => stream('<html>\nSign in\n</html>', ''), 'empty stream'],
    ['JSON of another kind', () => stream('{"ok": true}', 'application/json'), 'JSON that is not a message'],
    ['broken JSON', () => stream('{"type": "mess', 'application/json'), 'JSON that is not a message'],
    ['an image', () => stream('\u0000PNG', 'image/png'), 'image/png'],
    ['an empty body', () => stream('', 'text/plain'), 'empty stream'],
    ['text', () => stream('data: hello\n\n', 'text/plain'), 'text'],
  ] as [string, () => Raw, string][])('%s', async (_what, reply, says) => {
    const api = await serve(reply);
    const study = await newStudy();
    for (let time = 0; time < 5; time++) {
      const failure = await failureOf(run(study, 0.5));
      expect([failure.type, failure.nonRetryable, failure.nextRetryDelay]).toEqual([
        'ModelUnanswered',
        false,
        60_000,
      ]);
      expect(failure.message).toContain(says);
      expect(failure.message).toContain('ANTHROPIC_BASE_URL');
    }
    expect(await spent(study)).toBe(0);
    api.reply = good;
    expect(await run(study, 0.5)).toMatchObject({ gaveUp: null });
  });

  test('a proxy with an error page of megabytes', async () => {
    await serve(() => ({
      raw: (response: ServerResponse) => {
        response.writeHead(502, { 'content-type': 'text/html' });
        response.end('x'.repeat(3 << 20));
      },
    }));
    const study = await newStudy();
    const failure = await failureOf(run(study, 0.5));
    expect(failure.type).toBe('ModelBusy');
    expect(failure.message.length).toBeLessThan(1_000);
    expect(await spent(study)).toBe(0);
  });
});

const flood = (response: ServerResponse, chunk: string, wait = false): void => {
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  response.write(events().slice(0, 1).map(written).join(''));
  const write = (): void => {
    if (response.destroyed) return;
    if (wait) setTimeout(() => response.write(chunk, write), 10);
    else response.write(chunk, () => setImmediate(write));
  };
  write();
};

describe('an unreadable answer is bounded, reported in one line, and retried only a few times:', () => {
  test.each([
    [
      'an event of many megabytes',
      () => ({ raw: (r: ServerResponse) => flood(r, 'data: '.padEnd(1 << 20, 'x')) }),
      'one of its events has more than 4 MiB',
    ],
    [
      'events without end',
      () => ({ raw: (r: ServerResponse) => flood(r, written({ type: 'noise', text: 'x'.repeat(1 << 19) })) }),
      'it has more than 64 MiB',
    ],
    [
      'parts without end',
      () =>
        stream(
          `${events().slice(0, 1).map(written).join('')}${Array.from({ length: 1500 }, (_, index) => written({ type: 'content_block_start', index, content_block: { type: 'text', text: '' } })).join('')}`,
        ),
      'more than 1000 blocks',
    ],
    [
      'an event that is not JSON',
      () =>
        stream(
          `${events().slice(0, 3).map(written).join('')}event: content_block_delta\ndata: {"type": \n\n`,
        ),
      'not JSON',
    ],
    [
      'a part that goes on without a beginning',
      () => stream(each(without('content_block_start'))),
      'that it did not start',
    ],
    [
      'an event without a type',
      () => stream(`${events().slice(0, 1).map(written).join('')}data: {"index": 1}\n\n`),
      'no type',
    ],
    [
      'pings without end',
      () => ({ raw: (r: ServerResponse) => flood(r, written({ type: 'ping' }), true) }),
      'not complete after 1 s',
    ],
  ] as [string, () => Raw, string][])('%s', async (_what, reply, says) => {
    const api = await serve(reply);
    const study = await newStudy();
    const proposed = await run(study, 20, says.includes('1 s') ? { ...PATIENT, wholeMs: 1_000 } : PATIENT);
    expect(proposed.gaveUp).toContain(says);
    expect(proposed.gaveUp).not.toMatch(/TypeError|undefined|ZodError/);
    expect(api.served).toHaveLength(3);
    // Its input is known; its output counts as the longest.
    expect(proposed.dollars).toBeCloseTo((3 * (1000 * 4 + 8000 * 20)) / 1e6, 6);
  });
});

const altered = (changes: readonly { at: number; how: string; value: unknown }[]): Event[] =>
  changes.reduce<Event[]>((all, { at: place, how, value }) => {
    const at = place % Math.max(1, all.length);
    const event = all[at];
    if (event === undefined) return all;
    const next = [...all];
    if (how === 'drop') next.splice(at, 1);
    else if (how === 'repeat') next.splice(at, 0, event);
    else if (how === 'swap') next.splice(at, 1, ...next.splice(at + 1, 1), event);
    else if (how === 'insert') next.splice(at, 0, value as Event);
    else next[at] = { ...event, [how]: value };
    return next;
  }, events());

test('for any stream of a proxy: one answer or a clear failure, paid once, and at most the reservation', async () => {
  const junk = fc.oneof(
    fc.jsonValue(),
    fc.constant(undefined),
    fc.double(),
    fc.constantFrom(-1, 4_294_967_290, 2 ** 60, '5', null, 0.5),
  );
  const change = fc.record({
    at: fc.nat(20),
    how: fc.constantFrom(
      'drop',
      'repeat',
      'index',
      'delta',
      'message',
      'usage',
      'content_block',
      'type',
      'swap',
      'insert',
    ),
    value: junk,
  });
  let reply: Raw = stream('');
  const api = await serve(() => reply);
  await fc.assert(
    fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 6 }), async (changes) => {
      reply = stream(
        altered(changes)
          .map((event) => `data: ${JSON.stringify(event) ?? ''}\n\n`)
          .join(''),
      );
      const before = api.served.length;
      const study = await newStudy();
      const outcome = await run(study, 2).then(
        (proposed) => ({ proposed, failure: null }),
        (failure: unknown) => ({ proposed: null, failure }),
      );
      const asked = api.served.length - before;
      assert.ok(asked <= 12);
      if (outcome.proposed === null) {
        const failure = await failureOf(Promise.reject(outcome.failure));
        assert.doesNotMatch(failure.message, /TypeError|undefined|ZodError|Cannot read/);
        // Only a broken answer is retried, after a wait.
        const isSpaced = Number(failure.nextRetryDelay ?? 0) >= 60_000;
        assert.ok(failure.nonRetryable === true || isSpaced || (await spent(study)) === 0);
      } else {
        assert.ok(outcome.proposed.dollars > 0);
        assert.equal(outcome.proposed.dollars, await spent(study));
      }
    }),
    { numRuns: 40 },
  );
  expect(api.served.length).toBeGreaterThanOrEqual(40);
});
