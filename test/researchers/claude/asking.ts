/** Contexts for the claude researcher, and a model's answers with tool calls. */
import type { ModelSettings } from '../../../src/domain/study';
import type { ExperimentRecord } from '../../../src/domain/experiment';
import type { ResearchContext } from '../../../src/researchers/researcher';
import { createClaude } from '../../../src/researchers/claude';
import { MessagesApi, type ServerOptions } from '../../messages-api/server';
import { toolUse, type ReplyBlock } from '../../messages-api/reply';
import { contextOf } from '../context';

export const KEY = 'sk-ant-planted-0123456789abcdef';

export const MODEL: ModelSettings = {
  name: 'claude-opus-5-5',
  effort: 'high',
  contextTokens: 60_000,
  answerTokens: 8_000,
  price: { input: 4, cacheWrite: 5, cacheWriteHour: 8, cacheRead: 0.2, output: 20 },
  lessonsEvery: 20,
};

/** A model's proposal: half the learning rate. */
export const CHANGE = {
  title: 'Halve the learning rate',
  hypothesis: 'The loss is noisy at the end.',
  expected: '0.01 lower',
  knobs: ['LR'],
  edits: [{ path: 'train.py', search: 'LR    = 0.02', replace: 'LR    = 0.01' }],
  idea: null,
  ideas: ['warm up longer'],
  ranges: [],
  lessons: null,
};

export const propose = (change: Partial<Record<keyof typeof CHANGE, unknown>> = {}): ReplyBlock =>
  toolUse('propose', { ...CHANGE, ...change });

let api: MessagesApi | null = null;

/** Starts a server with these answers and points the SDK to it; stopped after each test. */
export async function serve(reply: ServerOptions['reply'], more: Partial<ServerOptions> = {}) {
  api = await MessagesApi.start({ reply, keys: [KEY], ...more });
  process.env['ANTHROPIC_BASE_URL'] = api.url;
  process.env['ANTHROPIC_API_KEY'] = KEY;
  return api;
}

afterEach(async () => {
  delete process.env['ANTHROPIC_BASE_URL'];
  delete process.env['ANTHROPIC_API_KEY'];
  await api?.stop();
  api = null;
});

export async function asked(
  change: Partial<ResearchContext> = {},
  history: ExperimentRecord[] = [],
): Promise<ResearchContext> {
  return { ...(await contextOf([])), number: history.length, history, model: MODEL, ...change };
}

const never = new AbortController().signal;

export const ask = (context: ResearchContext, times = { quietMs: 2_000, wholeMs: 10_000 }, signal = never) =>
  createClaude(times).propose(context, signal);
