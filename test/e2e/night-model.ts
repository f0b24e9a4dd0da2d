/**
 * A model that plays the researcher for a whole night, from a script that its seed decides: mostly it turns constants of
 * train.py, and now and then it does what models and their API do: repeats itself, breaks the code, talks, refuses, is
 * overloaded. It knows of the study only what the prompt says.
 */
import { runSeed } from '../../src/domain/seed';
import type { Answered, Reply, ReplyBlock } from '../messages-api/reply';
import {
  answer,
  brokenAfter,
  cutOff,
  malformed,
  noCredit,
  overloaded,
  paused,
  rateLimited,
  refusal,
  serverError,
  text,
  thinking,
  toolUse,
} from '../messages-api/reply';
import { blocksOf, type Request } from '../messages-api/request';

type Constants = Record<string, string>;
type Move = (play: Play) => Reply;

/** What the question says. */
interface Play {
  number: number;
  isRepair: boolean;
  lessonsDue: boolean;
  /** Ids of the backlog. */
  ideas: string[];
  /** The incumbent's, as its file is shown. */
  constants: Constants;
}

const CONSTANT = /^(RATE|MOMENTUM|DECAY|SPREAD|FLOOR) = (\S+)/gm;
const CRASH = 'step += 1 if step < 3 else None';
const key = (): Reply => ({ status: 401, type: 'authentication_error', message: 'invalid x-api-key' });
const unknownModel = (): Reply => ({ status: 404, type: 'not_found_error', message: 'model: of yesterday' });

/** Each is played once at its experiment, before the proposal; `pauses` ends with the study waiting for a person. */
export const TROUBLES: Record<string, { at: number; pauses?: true; moves: Move[] }> = {
  'rate limit': { at: 2, moves: [() => rateLimited('1'), () => rateLimited('1')] },
  overloaded: { at: 3, moves: [overloaded] },
  'server error': { at: 4, moves: [serverError] },
  'connection lost in the middle': { at: 5, moves: [(play) => brokenAfter(change(play), 4, 'disconnect')] },
  'error in the stream': {
    at: 6,
    moves: [(play) => brokenAfter(change(play), 4, { type: 'overloaded_error', message: 'Overloaded' })],
  },
  refusal: { at: 7, moves: [refusal] },
  'answer cut off': { at: 8, moves: [() => cutOff(thinking('on and on'))] },
  'turn paused': { at: 9, moves: [() => paused(text('let me see'))] },
  'tool input that is no JSON': { at: 10, moves: [() => answer(malformed('propose', '{"title": "ha'))] },
  'tool input that is wrong': { at: 11, moves: [() => answer(toolUse('propose', { title: 7 }))] },
  'unknown tool': { at: 12, moves: [() => answer(toolUse('rm_rf', {}))] },
  'wrong key': { at: 13, pauses: true, moves: [key] },
  'unknown model': { at: 14, pauses: true, moves: [unknownModel] },
  'no credit': { at: 15, pauses: true, moves: [noCredit] },
  'only talk': { at: 16, moves: Array.from({ length: 12 }, () => () => answer(text('I wonder.'))) },
};

/** What a model does wrong again and again; the check sends each back. */
const SLIPS: Record<string, Move> = {
  'text that is not there': ({ constants }) =>
    propose('blind', [{ search: `RATE = ${constants['RATE'] ?? ''}0001`, replace: 'RATE = 1' }]),
  'locked file': () => propose('cheat', [{ path: 'score.py', search: 'nats', replace: '0' }]),
  'syntax error': ({ constants }) => propose('typo', [turned('RATE', constants, '= 1')]),
  'does not start': ({ constants }) => propose('typo', [turned('RATE', constants, 'UNKNOWN')]),
  'only a comment': ({ constants }) =>
    propose('nothing', [turned('DECAY', constants, `${constants['DECAY'] ?? ''}  # as it was:`)]),
  'looks at the file': () => answer(toolUse('read_file', { path: 'train.py', first: 1, last: 20 })),
  'looks at the baseline': () => answer(toolUse('show_experiment', { number: 0 })),
};

export class NightModel {
  /** What was played, by name. */
  readonly played: Record<string, number> = {};
  private readonly plans = new Map<string, [string, Move][]>();
  private readonly proposed: Constants[] = [];
  private draws = 0;

  /** @param isQuiet plays no troubles */
  constructor(private readonly isQuiet = false) {}

  reply = ({ messages }: Request): Reply => {
    const play = playOf(messages);
    const name = `${play.number}${play.isRepair ? ' repair' : ''}`;
    const plan = this.plans.get(name) ?? this.plan(play);
    this.plans.set(name, plan);
    const [what, move] = plan.shift() ?? ['change', (now: Play) => this.change(now)];
    this.played[what] = (this.played[what] ?? 0) + 1;
    return move(play);
  };

  private plan({ number, isRepair }: Play): [string, Move][] {
    if (isRepair) {
      return number % 3 === 0
        ? [['gives up', () => answer(toolUse('give_up', { reason: 'the idea is wrong' }))]]
        : [['repair', () => propose('mended', [{ search: CRASH, replace: 'step += 1' }])]];
    }
    if (this.isQuiet) return [];
    const trouble = Object.entries(TROUBLES).find(([, { at }]) => at === number);
    if (trouble !== undefined) return trouble[1].moves.map((move) => [trouble[0], move]);
    const slips = Object.entries(SLIPS);
    const slip = slips[this.draw(3 * slips.length)];
    const plan: [string, Move][] = slip === undefined ? [] : [slip];
    if (number % 9 === 0) plan.push(['repeats itself', (play) => this.repeat(play)]);
    // A short night has a few as well: an answer that its worker never heard is not played again.
    if (number % 13 === 6 || number === 17 || number === 22)
      plan.push(['crashes', (play) => this.change(play, CRASH)]);
    return plan;
  }

  /** New values for one or two constants. */
  private change(play: Play, code: string | null = null): Reply {
    const values = { ...play.constants };
    const names = Object.keys(values);
    for (const name of new Set([names[this.draw(names.length)] ?? 'RATE', 'RATE'])) {
      values[name] = valueOf(name, this.draw(1_000_000) / 1_000_000);
    }
    const edits = editsTo(play.constants, values);
    if (code === null) this.proposed.push(values);
    else edits.push({ search: 'step += 1', replace: code });
    return change(play, `RATE ${values['RATE'] ?? ''}`, edits);
  }

  /** The same candidate as long ago. */
  private repeat(play: Play): Reply {
    const earlier = this.proposed[this.draw(this.proposed.length)] ?? play.constants;
    const edits = editsTo(play.constants, earlier);
    return edits.length === 0 ? this.change(play) : change(play, 'as before', edits);
  }

  private draw(below: number): number {
    return runSeed('night', this.draws++, 1) % below;
  }
}

interface Edit {
  path?: string;
  search: string;
  replace: string;
}

const valueOf = (name: string, part: number): string =>
  name === 'RATE'
    ? (0.05 * 200 ** part).toPrecision(6)
    : (part * (name === 'SPREAD' ? 1 : 0.02)).toPrecision(6);

const turned = (name: string, constants: Constants, value: string): Edit => ({
  search: `\n${name} = ${constants[name] ?? ''} `,
  replace: `\n${name} = ${value} `,
});

const editsTo = (from: Constants, to: Constants): Edit[] =>
  Object.keys(from).flatMap((name) => (from[name] === to[name] ? [] : [turned(name, from, to[name] ?? '')]));

function change(
  play: Play,
  title = 'a step',
  edits: Edit[] = [turned('RATE', play.constants, '0.7')],
): Answered {
  const idea = play.number % 10 === 5 ? (play.ideas[0] ?? null) : null;
  const ideas = play.number % 7 === 0 ? [`idea of experiment ${play.number}`] : [];
  const lessons = play.lessonsDue ? [`higher rates help (#${play.number - 1})`] : null;
  return propose(title, edits, { idea, ideas, lessons });
}

function propose(title: string, edits: Edit[], more: object = {}): Answered {
  const blocks: ReplyBlock[] = [
    thinking('What would move the loss most?'),
    toolUse('propose', {
      title,
      hypothesis: 'The steps are too short.',
      expected: '0.01 lower',
      knobs: ['RATE'],
      edits: edits.map((edit) => ({ path: 'train.py', ...edit })),
      idea: null,
      ideas: [],
      ranges: [],
      lessons: null,
      ...more,
    }),
  ];
  return answer(...blocks);
}

function playOf(messages: Request['messages']): Play {
  const first = messages[0]?.content ?? '';
  const prompt = blocksOf(first)
    .map((block) => (typeof block['text'] === 'string' ? block['text'] : ''))
    .join('\n');
  const number = /(?:Propose experiment|repair experiment) #(\d+)/.exec(prompt)?.[1];
  if (number === undefined) throw new Error('the question does not say which experiment it is for');
  const file = prompt.slice(prompt.indexOf('## train.py'));
  const constants: Constants = {};
  for (const [, name = '', value = ''] of file.matchAll(CONSTANT)) constants[name] ??= value;
  return {
    number: Number(number),
    isRepair: prompt.includes('# Your task: repair experiment'),
    lessonsDue: prompt.includes('Lessons are due'),
    ideas: [...prompt.matchAll(/^(\d+\.\d+)(?: \(from the user\))?: /gm)].map(([, id = '']) => id),
    constants,
  };
}
