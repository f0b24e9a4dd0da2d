/** The `claude` researcher: a language model through Anthropic's Messages API. */
import { lessons } from '../../domain/ideas';
import type { Proposal } from '../../ledger/proposals';
import { ANSWER_MINUTES, type ModelSettings } from '../../domain/study';
import type { Researcher, ResearchContext } from '../researcher';
import type { CallTimes } from './call';
import { Conversation } from './conversation';
import { buildPrompt, PROMPT_SHARE, wantedDiffs } from './prompt';
import { Transcript } from './transcript';
import { lasting, STOP, TooLong } from './api-errors';

const TIMES: CallTimes = { quietMs: 180_000, wholeMs: ANSWER_MINUTES * 60_000 };
/** Parts of the budget for the question: the next one is tried when the API counts more tokens than we estimated. */
const SHORTER = [1, 0.6, 0.3];

export function createClaude(times: CallTimes = TIMES): Researcher {
  return {
    async propose(context, signal): Promise<Proposal> {
      const model = modelOf(context);
      for (const share of SHORTER) {
        try {
          return await converse(context, model, share, times, signal);
        } catch (error) {
          if (!(error instanceof TooLong)) throw error;
        }
      }
      throw lasting(
        'ModelRequest',
        `${model.name} refuses even a question of ${Math.floor(model.contextTokens * PROMPT_SHARE * 0.3)} tokens`,
        STOP,
        'resume --model NAME',
      );
    },
  };
}

async function converse(
  context: ResearchContext,
  model: ModelSettings,
  share: number,
  times: CallTimes,
  signal: AbortSignal,
): Promise<Proposal> {
  const lessonsDue = areLessonsDue(context, model);
  const commits = wantedDiffs(context);
  const patches = await context.diffs(commits);
  const diffs = new Map(commits.map((commit, index) => [commit, patches[index] ?? '']));
  const budget = Math.floor(model.contextTokens * PROMPT_SHARE * share);
  const prompt = buildPrompt({ ...context, diffs, lessonsDue }, budget);
  const transcript = new Transcript(context.folder, context.repair?.attempt ?? 0);
  return new Conversation({ context, model, prompt, lessonsDue, transcript, times, signal }).run();
}

/** Lessons are due every `lessonsEvery` experiments, never with a repair. */
function areLessonsDue(
  { history, number, repair }: ResearchContext,
  { lessonsEvery }: ModelSettings,
): boolean {
  return repair === null && number - (lessons(history).after ?? 0) >= lessonsEvery;
}

/** @throws ApplicationFailure, not retryable, if the study's settings or the worker's environment do not allow a call */
function modelOf({ model, left }: ResearchContext): ModelSettings {
  if (model === null) {
    throw lasting('ModelUnknown', 'the study names no model', 'start one with --researcher claude');
  }
  checkAccess();
  if (model.price === null && left.dollars !== null) {
    throw lasting(
      'ModelPrice',
      `the price of ${model.name} is unknown, so the study cannot enforce its dollar limit`,
      'remove the limit with `npx autoresearch budget --usd none`',
    );
  }
  return model;
}

/** Checks what the SDK would only report as an invalid argument, without naming it. */
function checkAccess(): void {
  const key = process.env['ANTHROPIC_API_KEY']?.trim() ?? '';
  if (key === '') {
    throw lasting(
      'ModelKey',
      "the worker's environment has no ANTHROPIC_API_KEY",
      'set it, `npx autoresearch up`',
    );
  }
  if (!/^[\x20-\x7e]+$/.test(key)) {
    throw lasting(
      'ModelKey',
      "the worker's ANTHROPIC_API_KEY contains characters that no key has, such as curly quotes or a line break",
      'correct it, `npx autoresearch up`',
    );
  }
  const address = process.env['ANTHROPIC_BASE_URL']?.trim() ?? '';
  if (address !== '' && !isAddress(address)) {
    throw lasting(
      'ModelAddress',
      "the worker's ANTHROPIC_BASE_URL is not an address such as https://api.example.com",
      'correct or remove it, `npx autoresearch up`',
    );
  }
}

/** fetch refuses addresses with a user name or a password. */
function isAddress(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { protocol, username, password } = new URL(text);
  return /^https?:$/.test(protocol) && username === '' && password === '';
}
