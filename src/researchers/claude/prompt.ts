/**
 * The question to the model: what stands still first (role, program, files, older experiments), so that the API's
 * prompt cache keeps it, and last what is new each time. Each section has a share of the budget and keeps to it.
 */
import type Anthropic from '@anthropic-ai/sdk';
import { secondsTaken } from '../../domain/experiment';
import { programSection, filesSection } from './files-section';
import { untouchedConstants, untriedDirections, viewOf, type View } from './ledger';
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
import { moment, taskSection } from './moment';
import { redact } from '../redact';
import type { Shown } from './shown';
import { systemText } from './system';
import { estimateTokens } from './tokens';
import { lasting, STOP } from './trouble';
import { toolDefinitions } from './tools';

export interface Prompt {
  system: Anthropic.TextBlockParam[];
  /** The first message. */
  content: Anthropic.TextBlockParam[];
  /** At most so many tokens, tools included. */
  tokens: number;
  /** The person's hints that it shows; the others wait for the next one. */
  hints: readonly string[];
}

/** Shares of what is left beside the system's text. Together less than 1: rounding and headings need some. */
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
/** What is new with each question, but for the task. */
const NEWS = ['attempts', 'nearMisses', 'failures', 'untried', 'backlog'] as const;

/** For where the study stands, which has no share. */
const STANDING = 500;
/** Line breaks between the sections of what is new. */
const SEPARATORS = 6;

/** So much of a context is the first question; the rest is for reading, objections and thinking. */
export const PROMPT_SHARE = 0.5;

/** The API keeps a prefix for an hour where five minutes would be over before the next experiment begins. */
const SHORT_LIFE_SECONDS = 240;
const LONG_LIFE_SECONDS = 3300;

/** The experiments whose patches are shown. */
export function wantedDiffs({ history, lab, repair }: Pick<Shown, 'history' | 'lab' | 'repair'>): string[] {
  const { recent, nearMisses } = viewOf(history, lab.metric.direction);
  const commits = [...recent, ...nearMisses].filter(({ number }) => number > 0).map(({ commit }) => commit);
  return [...new Set([...commits, ...(repair === null ? [] : [repair.commit])])];
}

/**
 * @param budget tokens that the question may have at most
 * @throws ApplicationFailure if not even the rules fit: a person has to give it more
 */
export function buildPrompt(shown: Shown, budget: number): Prompt {
  const { lab, history, program, incumbent } = shown;
  const rules = systemText(shown);
  const fixed = estimateTokens(rules) + estimateTokens(JSON.stringify(toolDefinitions()));
  const free = Math.floor(budget - fixed - STANDING);
  if (free < 1000) {
    throw lasting(
      'ModelRequest',
      `a question of ${budget} tokens is too short: the rules alone have ${fixed}`,
      STOP,
      'resume --context-tokens N',
    );
  }
  const room: Room = (name) => Math.floor(free * SHARES[name]);
  const view = viewOf(history, lab.metric.direction);
  const cache = cacheFor(view, shown);
  const asked = programSection(program, lab.program, room('program'));
  // A file that is cut costs a look-up in each conversation. What the program leaves stands as still as the program.
  const left = Math.max(0, room('program') - estimateTokens(asked));
  const still = [
    join(
      asked,
      filesSection(incumbent.files, incumbent.commit, room('files') + left),
      gainsSection(view, room('gains')),
    ),
    join(settledSection(view, room('settled')), lessonsSection(shown.lessons, lessonsRoom(shown, room))),
  ];
  const { last, hints } = moving(shown, view, room, budget - fixed - tokensOf(still));
  const blocks = [...still, last];
  const content = blocks
    .map((text, index) => block(text, index < blocks.length - 1 ? cache : { type: 'ephemeral' as const }))
    .filter(({ text }) => text !== '');
  const system = [block(rules, cache)];
  return { system, content, tokens: fixed + tokensOf(blocks), hints };
}

type Room = (name: keyof typeof SHARES) => number;

/**
 * What is new with each question. The news make room for the oldest hint, and the other hints have what is unused.
 * @param left what the parts that stand still have left of the budget
 */
function moving(
  shown: Shown,
  view: View,
  room: Room,
  left: number,
): { last: string; hints: readonly string[] } {
  const stand = join(moment(shown, view));
  const task = join(taskSection(shown, taskRoom(shown, room)));
  const free = left - tokensOf([stand, task]) - SEPARATORS;
  const forNews = Math.max(0, free - oldestHintTokens(shown.hints));
  const part = Math.min(1, forNews / newsRoom(room));
  const told =
    shown.repair === null ? join(...news(shown, view, (name) => Math.floor(room(name) * part))) : '';
  const hints = hintsSection(shown.hints, free - tokensOf([told]));
  return { last: join(told, stand, hints.text, task), hints: hints.shown };
}

/** What the last experiments came to, and where to go from here. */
const news = (shown: Shown, view: View, room: Room): string[] => [
  attempts(view, shown.diffs, room('attempts')),
  nearMissSection(view, shown.diffs, room('nearMisses')),
  failuresSection(view, room('failures')),
  untriedSection(
    untouchedConstants(shown.incumbent.files, shown.history),
    untriedDirections(shown.program, shown.history),
    room('untried'),
  ),
  backlogSection(shown.ideas, room('backlog')),
];

const newsRoom = (room: Room): number => NEWS.reduce((sum, name) => sum + room(name), 0);

/** A repair needs the crash more than the news: it has their room. */
const taskRoom = ({ repair }: Shown, room: Room): number =>
  room('task') + (repair === null ? 0 : newsRoom(room));

/** Lessons that are to be drawn anew replace all, so all should be there: they have half of the news' room. */
const lessonsRoom = ({ lessonsDue }: Shown, room: Room): number =>
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

/** For how long the parts that stand still are kept, by how long the last experiments took, or the first will train. */
function cacheFor({ recent }: View, { budget }: Shown): Anthropic.CacheControlEphemeral {
  const lengths = recent.map(secondsTaken).toSorted((a, b) => a - b);
  const seconds = lengths[Math.floor(lengths.length / 2)] ?? ('seconds' in budget ? budget.seconds : 0);
  return seconds > SHORT_LIFE_SECONDS && seconds < LONG_LIFE_SECONDS
    ? { type: 'ephemeral', ttl: '1h' }
    : { type: 'ephemeral' };
}
