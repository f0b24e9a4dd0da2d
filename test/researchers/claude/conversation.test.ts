import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ResearchContext } from '../../../src/researchers/researcher';
import { GivenUp, NoProposal } from '../../../src/researchers/researcher';
import {
  answer,
  cutOff,
  malformed,
  paused,
  refusal,
  text,
  thinking,
  toolUse,
  type ReplyBlock,
} from '../../messages-api/reply';
import { inputTokens } from '../../messages-api/cache';
import { ask, asked, KEY, MODEL, propose, serve } from './asking';
import { madeLedger } from './records';

const transcriptOf = (context: ResearchContext): Promise<string> =>
  readFile(join(context.folder, 'transcript.jsonl'), 'utf8');

const read = (first: number | null = null, last: number | null = null): ReplyBlock =>
  toolUse('read_file', { path: 'train.py', first, last });

/** The text of a request's last message. */
const lastMessage = (request: { messages: { content: unknown }[] }): string =>
  JSON.stringify(request.messages.at(-1)?.content);

test('it reads, thinks and proposes; the record has its texts and cost', async () => {
  const replies = [
    answer(thinking('What is there?'), read(1, 1)),
    answer(thinking('So little depth.'), text('I have it.'), propose()),
  ];
  const api = await serve((_request, index) => replies[index]!);
  const context = await asked();
  const proposal = await ask(context);
  expect(api.refused).toEqual([]);
  expect(proposal).toMatchObject({
    title: 'Halve the learning rate',
    edits: [{ path: 'train.py', search: 'LR    = 0.02', replace: 'LR    = 0.01' }],
    ideas: ['warm up longer'],
    research: { knobs: ['LR'], hints: ['try less'], usage: { calls: 2, model: MODEL.name } },
  });
  expect(lastMessage(api.served[1]!.request)).toContain('DEPTH = 4');
  expect(lastMessage(api.served[1]!.request)).not.toContain('LR    =');
  const cost = api.served.reduce((sum, { usage }) => {
    const [five, hour] = [
      usage!.cache_creation.ephemeral_5m_input_tokens,
      usage!.cache_creation.ephemeral_1h_input_tokens,
    ];
    const input = 4 * usage!.input_tokens + 5 * five + 8 * hour + 0.2 * usage!.cache_read_input_tokens;
    return sum + (input + 20 * usage!.output_tokens) / 1e6;
  }, 0);
  expect(context.spendGuard.spent()).toBeCloseTo(cost, 9);
  expect(await transcriptOf(context)).toContain('So little depth.');
  expect(await transcriptOf(context)).not.toContain(KEY);
});

test('objections come back in the same conversation, a bounded number of times', async () => {
  const api = await serve(() => answer(propose()));
  const context = await asked({
    check: () => Promise.resolve({ kind: 'repeat' as const, message: 'that was #7, discarded' }),
  });
  await expect(ask(context)).rejects.toThrow(NoProposal);
  expect(api.served).toHaveLength(5);
  expect(api.refused).toEqual([]);
  const last = api.served.at(-1)!.request;
  expect(last.messages).toHaveLength(9);
  expect(lastMessage(last)).toContain('that was #7');
  expect(lastMessage(last)).toContain('"is_error":true');
});

test.each([
  ['calls no tool', () => answer(text('I would lower the rate.')), 'Call propose'],
  ['says nothing at all', () => answer(), 'Call propose'],
  ['only thinks', () => answer(thinking('Hm.'), text(' ')), 'Call propose'],
  ['pauses without a word', () => paused(), 'Continue'],
  ['refuses', refusal, 'ended in a refusal'],
  ['is cut off', () => cutOff(thinking('Hm.'), malformed('propose', '{"title": "Hal')), 'cut off'],
  ['pauses', () => paused(text('One moment.')), 'Continue'],
  ['names an unknown tool', () => answer(toolUse('run_shell', { command: 'ls' })), 'there is no tool'],
  ['leaves fields out', () => answer(toolUse('propose', { title: 'x' })), 'hypothesis'],
  ['writes no JSON', () => answer(malformed('propose', '{"title": nonsense')), 'not a JSON object'],
] as const)(
  'a model that %s is asked again; when it goes on so, there is no proposal',
  async (_what, reply, remark) => {
    const good = await serve((_request, index) => (index === 0 ? reply() : answer(propose())));
    expect(await ask(await asked())).toMatchObject({ title: 'Halve the learning rate' });
    expect(good.served).toHaveLength(2);
    expect(good.refused).toEqual([]);
    expect(lastMessage(good.served[1]!.request)).toContain(remark);
    await good.stop();

    const bad = await serve(() => reply());
    await expect(ask(await asked())).rejects.toThrow(NoProposal);
    expect(bad.served.length).toBeLessThanOrEqual(5);
    expect(bad.refused).toEqual([]);
  },
);

test('a model that only looks things up is asked to propose, then the conversation ends', async () => {
  const api = await serve(() => answer(read()));
  await expect(ask(await asked())).rejects.toThrow('only looked things up');
  expect(api.served.length).toBeLessThan(15);
  expect(api.refused).toEqual([]);
});

test('of twelve look-ups in one answer, those above the limit get the request to propose', async () => {
  const replies = [answer(...Array.from({ length: 12 }, () => read(1, 1))), answer(propose())];
  const api = await serve((_request, index) => replies[index]!);
  expect(await ask(await asked())).toMatchObject({ title: 'Halve the learning rate' });
  const said = lastMessage(api.served[1]!.request);
  expect(said.match(/DEPTH = 4/g)).toHaveLength(8);
  expect(said.match(/propose your change now/g)).toHaveLength(4);
});

test('due lessons are asked for, once more if forgotten, and go into the record', async () => {
  const learnt = ['Deeper is slower (#3).'];
  const replies = [answer(propose()), answer(propose({ lessons: learnt }))];
  const api = await serve((_request, index) => replies[index]!);
  const proposal = await ask(await asked({}, madeLedger(20)));
  expect(lastMessage(api.served[1]!.request)).toContain('lessons are due');
  expect(proposal.research?.lessons).toEqual(learnt);
  // Not due yet: the prompt does not ask for them.
  api.reply = () => answer(propose());
  expect((await ask(await asked({}, madeLedger(19)))).research?.lessons).toBeNull();
});

test.each([[[]], [['One that nobody asked for.']]])(
  'lessons %j that are not due, or none where they are due, replace nothing',
  async (given) => {
    const api = await serve(() => answer(propose({ lessons: given })));
    expect((await ask(await asked({}, madeLedger(19)))).research?.lessons).toBeNull();
    expect(api.served).toHaveLength(1);
    api.reply = () => answer(propose({ lessons: [] }));
    expect((await ask(await asked({}, madeLedger(20)))).research?.lessons).toBeNull();
    expect(api.served).toHaveLength(3);
  },
);

test('giving up a repair is a valid answer', async () => {
  const repair = {
    attempt: 1,
    of: 2,
    researcher: 'claude',
    commit: 'd'.repeat(40),
    files: { 'train.py': 'BROKEN = True\n' },
    title: 'Wider',
    hypothesis: '',
    failure: { reason: 'oom' as const, message: 'out of memory', tail: '' },
  };
  const replies = [answer(read()), answer(toolUse('give_up', { reason: 'it will never fit' }))];
  const api = await serve((_request, index) => replies[index % 2]!);
  await expect(ask(await asked({ repair }))).rejects.toThrow(new GivenUp('it will never fit'));
  expect(lastMessage(api.served[1]!.request)).toContain('BROKEN = True');
});

test('a conversation stays within its tokens, whatever the model reads', async () => {
  const model = { ...MODEL, contextTokens: 12_000 };
  const long = 'LINE = 1  # and some words more\n'.repeat(5_000);
  const api = await serve(() => answer(thinking('More. '.repeat(200)), read()));
  const context = await asked({ model, incumbent: { commit: 'i'.repeat(40), files: { 'train.py': long } } });
  await expect(ask(context)).rejects.toThrow(NoProposal);
  for (const { request } of api.served) expect(inputTokens(request)).toBeLessThanOrEqual(model.contextTokens);
  expect(api.served.length).toBeGreaterThan(2);
});

test('several look-ups in one answer share the room of one', async () => {
  const model = { ...MODEL, contextTokens: 16_000 };
  const long = 'LINE = 1  # and some words more\n'.repeat(5_000);
  const change = propose({ edits: [{ path: 'train.py', search: '', replace: 'LINE = 2\n' }] });
  const replies = [answer(...Array.from({ length: 4 }, () => read())), answer(change)];
  const api = await serve((_request, index) => replies[index]!);
  const context = await asked({ model, incumbent: { commit: 'i'.repeat(40), files: { 'train.py': long } } });
  expect(await ask(context)).toMatchObject({ title: 'Halve the learning rate' });
  expect(inputTokens(api.served[1]!.request)).toBeLessThanOrEqual(model.contextTokens);
  expect(lastMessage(api.served[1]!.request).match(/LINE = 1/g)!.length).toBeGreaterThan(100);
});
