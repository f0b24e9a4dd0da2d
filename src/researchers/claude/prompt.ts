/**
 * The question to the model. What rarely changes comes first (rules, program, files, older experiments), so that the API's
 * prompt cache can serve it; what is new each time comes last. Each section stays within its share of the budget.
 */
import type Anthropic from '@anthropic-ai/sdk';
import { secondsTaken } from '../../domain/experiment';
import { programSection, filesSection } from './files-section';
import { untouchedConstants, untriedDirections, viewOf, type View } from './history-view';
import {
  attempts,
  backlogSection,
  failuresSection,
  gainsSection,
  lessonsSection,
  nearMissSection,
  settledSection,
  untriedSection,
} from './ledger-sections';
import { hintsSection, oldestHintTokens } from './hints-section';
import { statusSection } from './status-section';
import { taskSection } from './task-section';
import { redact } from '../redact';
import type { PromptInput } from './prompt-input';
import { systemText } from './system';
import { estimateTokens } from './tokens';
import { lasting, STOP } from './api-errors';
import { toolDefinitions } from './tools';

export interface Prompt {
  system: Anthropic.TextBlockParam[];
  /** The first message. */
  content: Anthropic.TextBlockParam[];
  /** Upper estimate of its tokens, tools included. */
  tokens: number;
  /** The user's hints that it shows; the others wait for the next proposal. */
  hints: readonly string[];
}

/** Shares of the budget that the system prompt leaves. Their sum is below 1, since rounding and headings need some. */
const SHARES = {
  program: 0.12,
  files: 0.35,
  gains: 0.06,
  lessons: 0.05,
  settled: 0.11,
  attempts: 0.1,
  nearMisses: 0.05,
  failures: 0.03,
  untried: 0.02,
  backlog: 0.04,
  task: 0.05,
} as const;
/** The sections that are new with each question, except the task. */
const NEWS = ['attempts', 'nearMisses', 'failures', 'untried', 'backlog'] as const;

/** Tokens for the status section, which has no share. */
const STATUS = 500;
/** Tokens of the line breaks between the new sections. */
const SEPARATORS = 6;

/** The part of the context for the first question; the rest is for look-ups, objections and thinking. */
export const PROMPT_SHARE = 0.5;

/** Cache a prefix for an hour when the default five minutes would end before the next experiment, but an hour would not. */
const SHORT_LIFE_SECONDS = 240;
const LONG_LIFE_SECONDS = 3300;

/** The commits whose patches the prompt shows. */
export function wantedDiffs({
  history,
  lab,
  repair,
}: Pick<PromptInput, 'history' | 'lab' | 'repair'>): string[] {
  const { recent, nearMisses } = viewOf(history, lab.metric.direction);
  const commits = [...recent, ...nearMisses].filter(({ number }) => number > 0).map(({ commit }) => commit);
  return [...new Set([...commits, ...(repair === null ? [] : [repair.commit])])];
}

/**
 * @param budget the most tokens that the question may have
 * @throws ApplicationFailure, not retryable, if not even the rules fit
 */
export function buildPrompt(input: PromptInput, budget: number): Prompt {
  const { lab, history, program, incumbent } = input;
  const rules = systemText(input);
  const fixed = estimateTokens(rules) + estimateTokens(JSON.stringify(toolDefinitions()));
  const free = Math.floor(budget - fixed - STATUS);
  if (free < 1000) {
    throw lasting(
      'ModelRequest',
      `a question of ${budget} tokens is too short: the rules alone need ${fixed}`,
      STOP,
      'resume --context-tokens N',
    );
  }
  const room: Room = (name) => Math.floor(free * SHARES[name]);
  const view = viewOf(history, lab.metric.direction);
  const cache = cacheFor(view, input);
  const asked = programSection(program, lab.program, room('program'));
  // A cut file costs a look-up in each conversation, so the files get what the program leaves of its share.
  const left = Math.max(0, room('program') - estimateTokens(asked));
  const stable = [
    join(
      asked,
      filesSection(incumbent.files, incumbent.commit, room('files') + left),
      gainsSection(view, room('gains')),
    ),
    join(settledSection(view, room('settled')), lessonsSection(input.lessons, lessonsRoom(input, room))),
  ];
  const { last, hints } = lastBlock(input, view, room, budget - fixed - tokensOf(stable));
  const blocks = [...stable, last];
  const content = blocks
    .map((text, index) => block(text, index < blocks.length - 1 ? cache : { type: 'ephemeral' as const }))
    .filter(({ text }) => text !== '');
  const system = [block(rules, cache)];
  return { system, content, tokens: fixed + tokensOf(blocks), hints };
}

type Room = (name: keyof typeof SHARES) => number;

/**
 * The last block: news, status, hints, task. The news shrink to make room for the oldest hint; the other hints get what is
 * left over.
 * @param left tokens of the budget that the cached blocks leave
 */
function lastBlock(
  input: PromptInput,
  view: View,
  room: Room,
  left: number,
): { last: string; hints: readonly string[] } {
  const status = join(statusSection(input, view));
  const task = join(taskSection(input, taskRoom(input, room)));
  const free = left - tokensOf([status, task]) - SEPARATORS;
  const forNews = Math.max(0, free - oldestHintTokens(input.hints));
  const part = Math.min(1, forNews / newsRoom(room));
  const latest =
    input.repair === null ? join(...news(input, view, (name) => Math.floor(room(name) * part))) : '';
  const hints = hintsSection(input.hints, free - tokensOf([latest]));
  return { last: join(latest, status, hints.text, task), hints: hints.shown };
}

/** The results of the last experiments, and where to go next. */
const news = (input: PromptInput, view: View, room: Room): string[] => [
  attempts(view, input.diffs, room('attempts')),
  nearMissSection(view, input.diffs, room('nearMisses')),
  failuresSection(view, room('failures')),
  untriedSection(
    untouchedConstants(input.incumbent.files, input.history),
    untriedDirections(input.program, input.history),
    room('untried'),
  ),
  backlogSection(input.ideas, room('backlog')),
];

const newsRoom = (room: Room): number => NEWS.reduce((sum, name) => sum + room(name), 0);

/** A repair needs the crash and no news, so the task gets their room. */
const taskRoom = ({ repair }: PromptInput, room: Room): number =>
  room('task') + (repair === null ? 0 : newsRoom(room));

/** New lessons replace all lessons, so the model should see all of them: they get half of the news' room. */
const lessonsRoom = ({ lessonsDue }: PromptInput, room: Room): number =>
  room('lessons') + (lessonsDue ? Math.floor(newsRoom(room) / 2) : 0);

const join = (...sections: string[]): string =>
  sections
    .filter((section) => section !== '')
    .map(redact)
    .join('\n\n');

const tokensOf = (texts: readonly string[]): number =>
  texts.reduce((sum, text) => sum + estimateTokens(text), 0);

const block = (text: string, cache_control: Anthropic.CacheControlEphemeral): Anthropic.TextBlockParam => ({
  type: 'text',
  text,
  cache_control,
});

/** How long the API caches the unchanging blocks, by the median length of the last experiments, or else the train budget. */
function cacheFor({ recent }: View, { budget }: PromptInput): Anthropic.CacheControlEphemeral {
  const lengths = recent.map(secondsTaken).toSorted((a, b) => a - b);
  const seconds = lengths[Math.floor(lengths.length / 2)] ?? ('seconds' in budget ? budget.seconds : 0);
  return seconds > SHORT_LIFE_SECONDS && seconds < LONG_LIFE_SECONDS
    ? { type: 'ephemeral', ttl: '1h' }
    : { type: 'ephemeral' };
}
