import * as fc from 'fast-check';
import { readAgentOutput } from '../../src/researchers/agent-output';

const OWN = '{"title": "wider", "hypothesis": "more room"}';

/** As `claude -p --output-format json` prints it. */
const result = (message: string, change: object = {}) => ({
  type: 'result',
  subtype: 'success',
  is_error: false,
  duration_ms: 41_233,
  num_turns: 7,
  result: message,
  session_id: '8f6f8f0e-3c5e-4a3b-9d6c-2f1f6c2f9b11',
  total_cost_usd: 0.1834,
  usage: {
    input_tokens: 31,
    cache_creation_input_tokens: 14_012,
    cache_read_input_tokens: 90_511,
    output_tokens: 2_204,
    server_tool_use: { web_search_requests: 0 },
  },
  modelUsage: { 'claude-opus-5-5': { inputTokens: 31, costUSD: 0.1834 } },
  ...change,
});
const claude = (message: string, change: object = {}) => JSON.stringify(result(message, change));

/** Claude Code with `"viewMode": "verbose"` or `--verbose`: it prints all events. */
const happened = (message: string) => [
  { type: 'system', subtype: 'init', tools: ['Read', 'Edit'] },
  { type: 'assistant', message: { content: [{ type: 'text', text: 'see [1] and {"title": "no"}' }] } },
  result(message),
];

/** As `codex exec --json` prints it: an event a line. */
const codex = (text: string) =>
  [
    { type: 'thread.started', thread_id: '0199a213-81c0-7800-8aa1-bbab2a035a53' },
    { type: 'turn.started' },
    { type: 'item.completed', item: { id: 'item_1', type: 'reasoning', text: 'thinking' } },
    { type: 'item.completed', item: { id: 'item_2', type: 'file_change', changes: [], status: 'completed' } },
    { type: 'item.completed', item: { id: 'item_3', type: 'agent_message', text } },
    {
      type: 'turn.completed',
      usage: { input_tokens: 26_549, cached_input_tokens: 22_272, output_tokens: 1_590 },
    },
  ]
    .map((event) => JSON.stringify(event))
    .join('\n');

test('our own JSON line', () => {
  expect(readAgentOutput(`thinking\n{"title": "wider", "dollars": 0.5}\n`)).toMatchObject({
    title: 'wider',
    hypothesis: null,
    dollars: 0.5,
    usage: null,
  });
});

test('Claude Code: cost, tokens by kind, and our JSON line at the end of its last message', () => {
  expect(readAgentOutput(claude(`I made it wider.\n\n${OWN}`))).toEqual({
    title: 'wider',
    hypothesis: 'more room',
    dollars: 0.1834,
    atLeast: 0.1834,
    usage: {
      model: 'claude-opus-5-5',
      calls: 1,
      input: 31,
      cacheWrite: 14_012,
      cacheWriteHour: 0,
      cacheRead: 90_511,
      output: 2_204,
    },
  });
});

const MESSAGE = `I made it wider.\n\n${OWN}`;
const ESC = '\u001B';

test.each([
  ['a JSON array', JSON.stringify(happened(MESSAGE))],
  ['a JSON array over lines', JSON.stringify(happened(MESSAGE), null, 2)],
  ['an object over lines', JSON.stringify(result(MESSAGE), null, 4)],
  [
    'JSON lines',
    happened(MESSAGE)
      .map((each) => JSON.stringify(each))
      .join('\n'),
  ],
  [
    'JSON lines that end with CRLF',
    happened(MESSAGE)
      .map((each) => JSON.stringify(each))
      .join('\r\n'),
  ],
  ['a byte order mark', `\uFEFF${claude(MESSAGE)}`],
  ['a window title', `${ESC}]0;claude: train.py\u0007${claude(MESSAGE)}${ESC}]0;sh${ESC}\\`],
  ['a window title that is never ended', `${ESC}]0;claude ${claude(MESSAGE)}`],
  ['bracketed paste', `${ESC}[?2004h${claude(MESSAGE)}\n${ESC}[?2004l`],
  ['colours', `${ESC}[1;32m${claude(MESSAGE)}${ESC}[0m`],
  ['a text before it on its line', `[12:00:01] {done} said: ${claude(MESSAGE)}`],
  ['a text before it', `Warning: [settings] {"oops\n${claude(MESSAGE)}`],
  ['a text after it', `${claude(MESSAGE)}\nBye {for now}. [1`],
  ['a spinner', `working\rdone   \r${claude(MESSAGE)}`],
  ['nulls', claude(MESSAGE, { usage: null, modelUsage: null, subtype: null })],
  ['odd side fields', claude(MESSAGE, { usage: [1], modelUsage: 'opus', is_error: 'no', num_turns: {} })],
  ['a beginning that was cut off', `oken": 3}}, "text": "x"},${JSON.stringify(happened(MESSAGE)).slice(1)}`],
  ['many brackets before it', `${'[{"a":'.repeat(30_000)}\n${claude(MESSAGE)}`],
])('Claude Code, with %s', (_what, stdout) => {
  expect(readAgentOutput(stdout)).toMatchObject({ title: 'wider', hypothesis: 'more room', dollars: 0.1834 });
});

test.each([
  ['negative', -0.5],
  ['a text', '0.75'],
  ['null', null],
  ['missing', undefined],
  ['no number', { usd: 1 }],
  ['larger than any call', 1e9],
])('a cost that is %s is unknown, not zero, and other fields are still read', (_what, total_cost_usd) => {
  expect(readAgentOutput(claude(MESSAGE, { total_cost_usd }))).toMatchObject({
    title: 'wider',
    dollars: null,
  });
});

test('a cost of NaN, as Python prints it, is unknown', () => {
  const said = claude(MESSAGE).replace('0.1834', 'NaN');
  expect(readAgentOutput(said)).toMatchObject({ dollars: null });
});

test('several calls cost their sum; if one cost is unknown, at least the sum of the others', () => {
  expect(readAgentOutput(`${claude('one')}\n${claude('two')}`).dollars).toBeCloseTo(0.3668);
  const mixed = readAgentOutput(`${claude('one')}\n${claude('two', { total_cost_usd: null })}`);
  expect(mixed).toMatchObject({ title: 'two', dollars: null, atLeast: 0.1834 });
});

test("a cost in the model's message is ignored, one that the program prints counts", () => {
  const message = 'Done.\n{"title": "wider", "dollars": 0}';
  expect(readAgentOutput(claude(message)).dollars).toBe(0.1834);
  expect(readAgentOutput(codex(message)).dollars).toBeNull();
  expect(readAgentOutput(`${claude(message)}\n{"dollars": 2}`)).toMatchObject({ title: 'wider', dollars: 2 });
  expect(readAgentOutput(`${claude(message)}\n{"dollars": -2}`).dollars).toBeNull();
});

test('without a title the first line of the last message is the title', () => {
  expect(readAgentOutput(claude('## I made it wider\n\nbecause'))).toMatchObject({
    title: 'I made it wider',
    hypothesis: '## I made it wider\n\nbecause',
  });
});

test('Codex: tokens, cached ones counted apart, and no dollars', () => {
  expect(readAgentOutput(codex(`Done.\n${OWN}`))).toMatchObject({
    title: 'wider',
    hypothesis: 'more room',
    dollars: null,
    usage: { model: 'codex', input: 26_549 - 22_272, cacheRead: 22_272, output: 1_590 },
  });
});

test.each(['', 'no JSON at all', '{"title": ', '[1]', '{"type": "result", "total_cost_usd": "much"}'])(
  'what says nothing of it is no error: %s',
  (stdout) => {
    expect(readAgentOutput(stdout)).toMatchObject({ title: null, dollars: null, usage: null });
  },
);

test('a result on its own line is found in any surrounding output', () => {
  const noise = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.json(),
    fc.constantFrom('[', '{', '{"', '"', `${ESC}[31m`, `${ESC}]0;x\u0007`, '\uFEFF', '\r', '[{"a": ['),
  );
  fc.assert(
    fc.property(
      fc.array(noise),
      fc.array(noise),
      fc.double({ min: 0.01, max: 100, noNaN: true }),
      (a, b, cost) => {
        const said = `${a.join(' ')}\n${claude(MESSAGE, { total_cost_usd: cost })}\n${b.join(' ')}`;
        expect(readAgentOutput(said)).toMatchObject({ title: 'wider', dollars: cost });
      },
    ),
    { numRuns: 300 },
  );
});
