/** Errors of the API, through the real activity: which are retried, which pause the study, what they cost. */
import { writeFile } from 'node:fs/promises';
import { MockActivityEnvironment } from '@temporalio/testing';
import { DefaultLogger } from '@temporalio/worker';
import { createCheck } from '../../../src/activities/check-proposal';
import { createPropose } from '../../../src/activities/propose';
import { UNLIMITED } from '../../../src/domain/limits';
import { NOTHING_WAITS } from '../../../src/domain/waiting';
import { readProposal } from '../../../src/ledger/proposals';
import { createClaude } from '../../../src/researchers/claude';
import {
  answer,
  brokenAfter,
  filtered,
  filteredInTheMiddle,
  forbidden,
  noCredit,
  overloaded,
  rateLimited,
  refusal,
  serverError,
  toolUse,
  type Reply,
} from '../../messages-api/reply';
import { CHANGE, MODEL, propose, serve } from './asking';
import { EDIT, failureOf, good, newStudy, PATIENT, reservations, run, spent, type Studied } from './studied';

test.each([
  ['429 that says when', () => rateLimited('17'), 'ModelBusy', 17_000],
  ['429 that says nothing', () => rateLimited(), 'ModelBusy', 30_000],
  ['429 for two days', () => rateLimited('172800'), 'ModelBusy', 15 * 60_000],
  ['429 for no time', () => rateLimited('0'), 'ModelBusy', 1_000],
  ['529', overloaded, 'ModelBusy', undefined],
  ['500', serverError, 'ModelBusy', undefined],
  [
    'an error in the stream',
    () => brokenAfter(answer(propose()), 4, { type: 'overloaded_error', message: 'Overloaded' }),
    'ModelBusy',
    60_000,
  ],
  ['a disconnect', () => brokenAfter(answer(propose()), 4, 'disconnect'), 'ModelUnreachable', 60_000],
] as [string, () => Reply, string, number | undefined][])(
  '%s: Temporal waits and asks again; one call, and then the study goes on',
  async (_what, reply, type, wait) => {
    const api = await serve(reply);
    const study = await newStudy();
    const failure = await failureOf(run(study));
    expect([failure.type, failure.nonRetryable, failure.nextRetryDelay]).toEqual([type, false, wait]);
    expect(api.served).toHaveLength(1);
    api.reply = good;
    expect(await run(study)).toMatchObject({ title: CHANGE.title, gaveUp: null });
  },
);

test('a hung stream is retried', async () => {
  const api = await serve(() => brokenAfter(good(), 4, 'hang'));
  const study = await newStudy();
  const failure = await failureOf(run(study, null, { ...PATIENT, quietMs: 1_000 }));
  expect([failure.type, failure.nonRetryable]).toEqual(['ModelUnreachable', false]);
  api.reply = good;
  expect(await run(study)).toMatchObject({ title: CHANGE.title, gaveUp: null });
});

test.each([
  ['a wrong key', { keys: ['sk-ant-another'] }, good, 'ModelKey', 'correct ANTHROPIC_API_KEY'],
  ['a key without the right', {}, forbidden, 'ModelAccess', 'another key'],
  ['an account without credit', {}, noCredit, 'ModelBilling', "check the account's credit"],
  ['an unknown model', { models: ['claude-opus-9'] }, good, 'ModelUnknown', 'resume --model NAME'],
] as [string, object, () => Reply, string, string][])(
  '%s: not retried, for a person has to act; resuming clears it',
  async (_what, options, reply, type, todo) => {
    const api = await serve(reply, options);
    const study = await newStudy();
    const failure = await failureOf(run(study));
    expect([failure.type, failure.nonRetryable]).toEqual([type, true]);
    expect(failure.message).toContain(todo);
    expect(failure.message).toContain('resume');
    await api.stop();
    await serve(good);
    expect(await run(study)).toMatchObject({ gaveUp: null });
  },
);

test('a missing key is reported, and no request is made', async () => {
  const api = await serve(good);
  process.env['ANTHROPIC_API_KEY'] = '';
  expect((await failureOf(run(await newStudy()))).type).toBe('ModelKey');
  expect(api.served).toHaveLength(0);
});

test('a context too short for the rules is not retried, and no request is made', async () => {
  const api = await serve(good);
  const failure = await failureOf(run(await newStudy({ ...MODEL, contextTokens: 8_000 })));
  expect([failure.type, failure.nonRetryable]).toEqual(['ModelRequest', true]);
  expect(failure.message).toContain('stop`, then `npx autoresearch resume --context-tokens N`');
  expect(api.served).toHaveLength(0);
});

test('a refused connection is retried and costs nothing', async () => {
  const api = await serve(good);
  await api.stop();
  const study = await newStudy();
  for (let time = 0; time < 3; time++) expect((await failureOf(run(study, 2))).type).toBe('ModelUnreachable');
  process.env['ANTHROPIC_BASE_URL'] = (await serve(good)).url;
  expect((await run(study, 2)).dollars).toBeLessThan(0.1);
});

test('after repeated refusals the experiment ends without a proposal, with reason and cost', async () => {
  const api = await serve(refusal);
  const study = await newStudy();
  const proposed = await run(study);
  expect(proposed.gaveUp).toContain('refusal');
  expect(proposed.dollars).toBeGreaterThan(0);
  expect((await readProposal(study.git, proposed.proposal)).research?.usage).toMatchObject({ calls: 12 });
  // Three tries of four answers each.
  expect(api.served).toHaveLength(12);
});

test.each([
  ['at once', filtered],
  ['in the middle of an answer', () => filteredInTheMiddle(good())],
] as [string, () => Reply][])(
  'an answer that the API filters out %s: asked anew, with a remark, and no person has to act',
  async (_when, reply) => {
    const api = await serve((_request, index) => (index < 2 ? reply() : good()));
    const study = await newStudy();
    expect(await run(study, 2)).toMatchObject({ title: CHANGE.title, gaveUp: null });
    const [first, , third] = api.served.map(({ request }) => request.messages);
    expect(third).toHaveLength(1);
    expect(JSON.stringify(third)).toContain('content filtering policy');
    expect(JSON.stringify(first)).not.toContain('content filtering policy');
  },
);

test('a filtered answer does not lower the next reservation', async () => {
  const api = await serve(filtered);
  const study = await newStudy();
  // The dollars left cover a question of this length; an empty estimate would reserve less.
  const { dollars, gaveUp } = await run(study, 2);
  expect(dollars).toBe(0);
  expect(gaveUp).toContain('content filtering policy');
  expect(api.served).toHaveLength(12);
  const reserved = await reservations(study);
  expect(Math.min(...reserved)).toBe(reserved[0]);
});

test('an answer that takes too long is aborted, three times at most', async () => {
  await serve(() => brokenAfter(good(), 4, 'ping'));
  const study = await newStudy();
  const { gaveUp, dollars } = await run(study, 2, { ...PATIENT, wholeMs: 1_500 });
  expect(gaveUp).toMatch(/not complete after 1.5 s.*--answer-tokens/);
  expect(await reservations(study)).toHaveLength(3);
  expect(dollars).toBeCloseTo(await spent(study), 9);
  expect(dollars).toBeGreaterThan((3 * 20 * MODEL.answerTokens) / 1e6);
});

test('a model with shorter answers than the study asks for: the error names the option', async () => {
  await serve(good);
  const failure = await failureOf(
    run(await newStudy({ ...MODEL, name: 'claude-haiku-4-5', answerTokens: 64_001 })),
  );
  expect([failure.type, failure.nonRetryable]).toEqual(['ModelRequest', true]);
  expect(failure.message).toMatch(/64001 > 64000.*`npx autoresearch stop`.*resume --answer-tokens N`/);
});

test('edits that do not apply come back, and corrected ones are accepted', async () => {
  const wrong = answer(propose({ edits: [{ ...EDIT, search: 'DEPTH = 99' }] }));
  const api = await serve((_request, index) => (index === 0 ? wrong : good()));
  const study = await newStudy();
  const { proposal } = await run(study);
  expect((await readProposal(study.git, proposal)).edits).toEqual([EDIT]);
  expect(JSON.stringify(api.served[1]!.request.messages.at(-1))).toContain('was not found');
});

test('a question that is too long for the model is asked again in a shorter form', async () => {
  const api = await serve(good, { contextWindow: 7_000 });
  const study = await newStudy({ ...MODEL, contextTokens: 200_000 });
  await write50(study);
  expect(await run(study)).toMatchObject({ gaveUp: null });
  expect(api.refused.map(({ status }) => status)).toContain(400);
});

/** A program so long that it must be cut. */
async function write50({ root }: Studied): Promise<void> {
  await writeFile(`${root}/program.md`, 'Make it better, in this way or in that one.\n'.repeat(2_000));
}

describe('money', () => {
  test('a call whose highest cost exceeds the dollars left is not made', async () => {
    const api = await serve(good);
    const failure = await failureOf(run(await newStudy(), 0.05));
    expect([failure.type, failure.nonRetryable]).toEqual(['BudgetExhausted', true]);
    expect(failure.message).toContain('dollars limit');
    expect(api.served).toHaveLength(0);
  });

  test('a broken answer costs its input and the longest output; API errors cost nothing', async () => {
    const replies = [overloaded(), brokenAfter(good(), 4, 'disconnect'), good()];
    const api = await serve((_request, index) => replies[index]!);
    const study = await newStudy();
    await failureOf(run(study));
    await failureOf(run(study));
    const { dollars } = await run(study);
    const [, broken, whole] = api.served.map(({ usage }) => {
      if (usage === null) return 0;
      const { ephemeral_5m_input_tokens: five, ephemeral_1h_input_tokens: hour } = usage.cache_creation;
      return (4 * usage.input_tokens + 5 * five + 8 * hour + 0.2 * usage.cache_read_input_tokens) / 1e6;
    });
    const longest = (20 * MODEL.answerTokens) / 1e6;
    const last = (20 * api.served[2]!.usage!.output_tokens) / 1e6;
    expect(dollars).toBeCloseTo(broken! + longest + whole! + last, 9);
  });

  test('with a dollar limit, a model without a price is not called', async () => {
    const api = await serve(good);
    const study = await newStudy({ ...MODEL, price: null });
    expect((await failureOf(run(study, 5))).type).toBe('ModelPrice');
    expect(await run(study)).toMatchObject({ dollars: 0, gaveUp: null });
    expect(api.served).toHaveLength(1);
  });
});

test('stopping the study ends the call', async () => {
  const api = await serve(() => brokenAfter(answer(propose()), 4, 'ping'));
  const { study, base } = await newStudy();
  const environment = new MockActivityEnvironment({}, { logger: new DefaultLogger('ERROR') });
  const activity = createPropose({
    python: 'python3',
    researcher: () => createClaude(),
    check: createCheck('python3', () => Promise.resolve(null)),
  });
  const asked = environment.run(activity, {
    study,
    number: 1,
    incumbent: base,
    waiting: NOTHING_WAITS,
    left: UNLIMITED,
    repair: null,
  });
  const failure = asked.then(
    () => null,
    (error: unknown) => error,
  );
  while (api.served.length === 0) await new Promise((wake) => setTimeout(wake, 20));
  environment.cancel();
  expect(String(await failure)).toMatch(/cancel/i);
  while (api.abandoned === 0) await new Promise((wake) => setTimeout(wake, 20));
});

test('unknown tools and unknown experiments are errors for the model', async () => {
  const replies = [answer(toolUse('show_experiment', { number: 7 })), good()];
  const api = await serve((_request, index) => replies[index]!);
  await run(await newStudy());
  expect(JSON.stringify(api.served[1]!.request.messages.at(-1))).toContain('no experiment #7');
});
