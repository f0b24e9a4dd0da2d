import { readAgentOutput } from '../../src/researchers/agent-output';

const OWN = '{"title": "wider", "hypothesis": "more room"}';

/** As `claude -p --output-format json` prints it. */
const claude = (result: string) =>
  JSON.stringify({
    type: 'result',
    subtype: 'success',
    is_error: false,
    duration_ms: 41_233,
    num_turns: 7,
    result,
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
  });

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

test('a line of our own', () => {
  expect(readAgentOutput(`thinking\n{"title": "wider", "dollars": 0.5}\n`)).toEqual({
    title: 'wider',
    hypothesis: null,
    dollars: 0.5,
    usage: null,
  });
});

test('Claude Code: cost, tokens by kind, and our line at the end of its last message', () => {
  expect(readAgentOutput(claude(`I made it wider.\n\n${OWN}`))).toEqual({
    title: 'wider',
    hypothesis: 'more room',
    dollars: 0.1834,
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

test('one that gives no title is called by the first line of its last message', () => {
  expect(readAgentOutput(claude('## I made it wider\n\nbecause'))).toMatchObject({
    title: 'I made it wider',
    hypothesis: '## I made it wider\n\nbecause',
  });
});

test('Codex: tokens, those from the cache apart; its events give no dollars', () => {
  expect(readAgentOutput(codex(`Done.\n${OWN}`))).toMatchObject({
    title: 'wider',
    hypothesis: 'more room',
    dollars: null,
    usage: { model: 'codex', input: 26_549 - 22_272, cacheRead: 22_272, output: 1_590 },
  });
});

test.each(['', 'no JSON at all', '{"title": ', '[1]', '{"type": "result", "total_cost_usd": "much"}'])(
  'what says nothing of it is no trouble: %s',
  (stdout) => {
    expect(readAgentOutput(stdout)).toMatchObject({ title: null, dollars: null, usage: null });
  },
);
